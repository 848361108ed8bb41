package command

import (
	"slices"
	"strings"
)

// simpleWords returns the words of a command line that needs no shell: a program and its arguments.
// ok is false if a shell might do more than start the program with these arguments.
func simpleWords(line string) (words []string, ok bool) {
	s := splitter{rest: line}
	for s.rest != "" {
		if !s.step() {
			return nil, false
		}
	}
	s.end()
	return s.words, len(s.words) > 0 && startsProgram(s.words[0])
}

// A splitter cuts a command line into words.
type splitter struct {
	rest  string
	words []string
	word  []byte
	open  bool // a word has begun
}

func (s *splitter) end() {
	if s.open {
		s.words, s.word, s.open = append(s.words, string(s.word)), s.word[:0], false
	}
}

// step takes a piece of a word or the space after one. It returns false for a construct that needs
// a shell.
func (s *splitter) step() bool {
	switch c := s.rest[0]; {
	case c == ' ' || c == '\t':
		s.end()
		s.rest = s.rest[1:]
	case c == '\'':
		return s.single()
	case c == '"':
		return s.double()
	case c == '\\' && len(s.rest) > 1 && s.rest[1] != '\n':
		s.take(s.rest[1:2], 2)
	case plainByte(c):
		n := 1
		for n < len(s.rest) && plainByte(s.rest[n]) {
			n++
		}
		s.take(s.rest[:n], n)
	default:
		return false
	}
	return true
}

// take adds text to the word and skips its n bytes of the line.
func (s *splitter) take(text string, n int) {
	s.word, s.open = append(s.word, text...), true
	s.rest = s.rest[n:]
}

func (s *splitter) single() bool {
	end := strings.IndexByte(s.rest[1:], '\'')
	if end < 0 {
		return false
	}
	s.take(s.rest[1:1+end], end+2)
	return true
}

func (s *splitter) double() bool {
	s.take("", 1)
	for s.rest != "" {
		switch c := s.rest[0]; {
		case c == '"':
			s.take("", 1)
			return true
		case c == '$' || c == '`':
			return false
		case c == '\\' && len(s.rest) > 1 && strings.IndexByte("\\\"$`", s.rest[1]) >= 0:
			s.take(s.rest[1:2], 2)
		case c == '\\' && strings.HasPrefix(s.rest, "\\\n"):
			return false
		default:
			s.take(s.rest[:1], 1)
		}
	}
	return false
}

// plainByte reports whether a byte has no special meaning for a shell, outside of quotes and at any
// position of a word.
func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_@%+=:,./-", c) >= 0
}

// startsProgram reports whether a first word names a program for every shell that sh may be.
func startsProgram(word string) bool {
	return word != "" && !strings.Contains(word, "=") && !slices.Contains(shellWords, word)
}

// shellWords are the reserved words and the builtin commands of dash and bash.
var shellWords = strings.Fields(`. : [ alias bg bind break builtin caller case cd chdir command compgen complete compopt
	continue coproc declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for
	function getopts hash help history if in jobs kill let local logout mapfile popd printf pushd pwd read readarray
	readonly return select set shift shopt source suspend test then time times trap true type typeset ulimit umask
	unalias unset until wait while`)
