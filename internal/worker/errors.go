package worker

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Bounds of an error group: the text that is compared, and the sample.
const (
	comparedText = 200 // bytes of the normalized first line
	sampleText   = 1 << 10
	sampleStack  = 2 << 10
)

// A failedAttempt is an attempt of an item that failed.
type failedAttempt struct {
	failure batch.Failure
	source  string
	offset  int64
}

// errorCounts are the failed attempts of a route since its last report, in groups.
type errorCounts struct {
	groups []broker.ErrorGroup // in the order of their first failures
	index  map[uint64]int      // of the groups, by key
	other  int64               // failures in no group, since there were too many groups
}

// add counts a failed attempt. The first one of a group is its sample.
func (e *errorCounts) add(f failedAttempt) {
	key := groupKey(f.failure.Code, f.failure.Message)
	i, known := e.index[key]
	switch {
	case known:
		e.groups[i].Count++
		return
	case len(e.groups) >= broker.MaxReportGroups:
		e.other++
		return
	case e.index == nil:
		e.index = map[uint64]int{}
	}
	e.index[key] = len(e.groups)
	e.groups = append(e.groups, broker.ErrorGroup{
		Key: strconv.FormatUint(key, 16), Count: 1, Code: f.failure.Code, Message: shortened(f.failure.Message, sampleText),
		Source: f.source, Offset: f.offset, Attempt: f.failure.Attempts, Worker: f.failure.Worker, Stack: shortened(f.failure.Stack, sampleStack),
	})
}

// take returns the groups, in the order of their first failures, and the number of other failures. It
// forgets both.
func (e *errorCounts) take() (groups []broker.ErrorGroup, other int64) {
	groups, other = e.groups, e.other
	e.groups, e.other = nil, 0
	clear(e.index)
	return groups, other
}

// shortened returns the beginning of a text, at most size bytes, as valid UTF-8.
func shortened(text string, size int) string {
	if len(text) > size {
		text = text[:size]
	}
	return strings.ToValidUTF8(text, "�")
}

// A groupHash is an FNV-1a hash of 64 bits of a text of limited length.
type groupHash struct {
	sum  uint64
	left int // bytes until the limit
}

func (h *groupHash) write(c byte) {
	if h.left > 0 {
		h.sum = (h.sum ^ uint64(c)) * 1099511628211
		h.left--
	}
}

// groupKey returns the key of the group of a failure. Messages have the same key if the first bytes
// of their first lines are equal after these changes: letters become small, each run of digits, each
// hexadecimal number of at least eight digits or behind 0x, and each UUID becomes #, and each text
// in quotes becomes "...". It allocates no memory.
func groupKey(code, message string) uint64 {
	h := groupHash{14695981039346656037, len(code) + 1 + comparedText}
	for i := range len(code) {
		h.write(code[i])
	}
	h.write(0)
	h.left = comparedText
	line, _, _ := strings.Cut(message, "\n")
	for i := 0; i < len(line) && h.left > 0; {
		if n := quoted(line, i); n > 0 {
			h.write('"')
			i += n
			continue
		}
		n := wordAt(line[i:])
		if n == 0 {
			h.write(line[i])
			i++
			continue
		}
		i += h.word(line[i:], n)
	}
	return h.sum
}

// word writes the word of n bytes at the beginning of a text. It returns the bytes that it has
// read: more than n for a UUID.
func (h *groupHash) word(text string, n int) int {
	if isUUID(text) {
		h.write('#')
		return uuidLength
	}
	word := text[:n]
	if rest, ok := cutHexPrefix(word); isHex(rest) && (ok || n >= 8) {
		h.write('#')
		return n
	}
	for i := 0; i < n; {
		if !isDigit(word[i]) {
			h.write(lower(word[i]))
			i++
			continue
		}
		for h.write('#'); i < n && isDigit(word[i]); i++ {
		}
	}
	return n
}

func cutHexPrefix(word string) (rest string, ok bool) {
	if len(word) > 2 && word[0] == '0' && lower(word[1]) == 'x' {
		return word[2:], true
	}
	return word, false
}

// quoted returns the length of the text in quotes that begins at the i-th byte of a line, 0 if none
// does. A single quote or a backquote inside or at the end of a word is an apostrophe.
func quoted(line string, i int) int {
	quote := line[i]
	if quote != '"' && quote != '\'' && quote != '`' || quote != '"' && i > 0 && isWord(line[i-1]) {
		return 0
	}
	for k := i + 1; k < len(line); k++ {
		switch line[k] {
		case '\\':
			k++
		case quote:
			if quote == '"' || k+1 == len(line) || !isWord(line[k+1]) {
				return k + 1 - i
			}
		}
	}
	return 0
}

const uuidLength = 36

// isUUID reports whether a text begins with a UUID.
func isUUID(text string) bool {
	if len(text) < uuidLength || len(text) > uuidLength && isWord(text[uuidLength]) {
		return false
	}
	for i := range uuidLength {
		switch i {
		case 8, 13, 18, 23:
			if text[i] != '-' {
				return false
			}
		default:
			if !isHexDigit(text[i]) {
				return false
			}
		}
	}
	return true
}

// wordAt returns the length of the run of letters and digits at the beginning of a text.
func wordAt(text string) int {
	n := 0
	for n < len(text) && isWord(text[n]) {
		n++
	}
	return n
}

func isHex(word string) bool {
	for i := range len(word) {
		if !isHexDigit(word[i]) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= lower(c) && lower(c) <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWord reports whether a byte is a digit or a part of a letter.
func isWord(c byte) bool {
	return isDigit(c) || 'a' <= lower(c) && lower(c) <= 'z' || c >= utf8.RuneSelf
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
