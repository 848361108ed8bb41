package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Protocol errors, in the words of Redis.
var (
	errArgs   = errors.New("invalid multibulk length")
	errSize   = errors.New("invalid bulk length")
	errHeader = errors.New("too big header")
)

// maxArgs and maxSize limit the numbers in a header, and maxHeader its length, all but maxArgs in
// bytes.
const (
	maxArgs   = 1 << 20
	maxSize   = 512 << 20
	maxHeader = 64 << 10
)

// requests parses commands from the bytes that a client writes, in chunks of any size.
type requests struct {
	args    []string // of the current command; the memory is used again
	missing int      // number of arguments still missing
	header  []byte   // the beginning of an incomplete header
	arg     strings.Builder
	rest    int // missing bytes of arg with its line end; 0: a header is next
}

// next consumes b up to the end of a command. It returns the rest of b and, if the command is
// complete, its arguments. They are valid until the next call.
func (r *requests) next(b []byte) (rest []byte, args []string, err error) {
	for len(b) > 0 {
		if r.rest == 0 {
			if b, err = r.head(b); err != nil {
				return nil, nil, err
			}
			continue
		}
		take := min(len(b), r.rest)
		r.arg.Write(b[:min(take, max(r.rest-2, 0))])
		b = b[take:]
		if r.rest -= take; r.rest > 0 {
			break
		}
		r.args = append(r.args, r.arg.String())
		r.arg = strings.Builder{}
		if r.missing--; r.missing == 0 {
			return b, r.args, nil
		}
	}
	return nil, nil, nil
}

// head parses the header of a command or of an argument.
func (r *requests) head(b []byte) (rest []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if r.header = append(r.header, b...); len(r.header) > maxHeader {
			return nil, errHeader
		}
		return nil, nil
	}
	line := b[:end]
	if len(r.header) > 0 {
		r.header = append(r.header, line...)
		line, r.header = r.header, r.header[:0]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	if r.missing > 0 {
		err = r.size(line)
	} else if len(line) > 0 { // as Redis, it ignores an empty line and a command without arguments
		err = r.count(line)
	}
	return b[end+1:], err
}

// count parses the number of arguments of a command.
func (r *requests) count(line []byte) error {
	if line[0] != '*' {
		return fmt.Errorf("expected '*', got '%c': inline commands are not supported", line[0])
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n > maxArgs {
		return errArgs
	}
	if r.missing = max(n, 0); cap(r.args) > 1024 {
		r.args = nil
	}
	r.args = r.args[:0]
	return nil
}

// size parses the length of an argument.
func (r *requests) size(line []byte) error {
	if len(line) == 0 || line[0] != '$' {
		return fmt.Errorf("expected '$', got '%.1s'", line)
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 || n > maxSize {
		return errSize
	}
	r.rest = n + 2
	r.arg.Grow(n)
	return nil
}

// A reply receives the result of a command: one value. The elements of an array follow it.
type reply interface {
	null()
	nullArray()
	integer(n int64)
	bulk(text string)
	status(text string)
	fail(text string)
	array(n int)
}

// answers encodes a reply in the protocol of Redis.
type answers struct{ b []byte }

func (a *answers) null()      { a.b = append(a.b, "$-1\r\n"...) }
func (a *answers) nullArray() { a.b = append(a.b, "*-1\r\n"...) }

func (a *answers) integer(n int64) { a.number(':', n) }
func (a *answers) array(n int)     { a.number('*', int64(n)) }

func (a *answers) number(kind byte, n int64) {
	a.b = append(a.b, kind)
	a.b = strconv.AppendInt(a.b, n, 10)
	a.b = append(a.b, "\r\n"...)
}

func (a *answers) bulk(text string) {
	a.number('$', int64(len(text)))
	a.b = append(a.b, text...)
	a.b = append(a.b, "\r\n"...)
}

func (a *answers) status(text string) { a.line('+', text) }
func (a *answers) fail(text string)   { a.line('-', text) }

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func (a *answers) line(kind byte, text string) {
	a.b = append(a.b, kind)
	a.b = append(a.b, oneLine.Replace(text)...)
	a.b = append(a.b, "\r\n"...)
}
