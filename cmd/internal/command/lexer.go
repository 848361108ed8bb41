package command

import (
	"regexp"
	"strings"
)

// A lexer finds the placeholders of a command and the quotes around each. It knows as much of the shell as that
// needs; behind what it does not know it finds no quotes, and refuses placeholders of items.
type lexer struct {
	placeAt func(text string) string // the placeholder that text begins with
	rest    string
	parts   template
	text    strings.Builder
	open    []byte // what has begun and not ended: " or (
	word    bool   // the byte before belongs to a word: no comment begins
	unknown string // the first construct that it does not know
}

// parseTemplate returns the placeholders of a command for `sh -c`.
func parseTemplate(command string) (template, error) { return parseWith(placeAt, command) }

func parseWith(placeAt func(string) string, command string) (template, error) {
	x := lexer{placeAt: placeAt, rest: command}
	for x.rest != "" {
		if err := x.step(); err != nil {
			return nil, err
		}
	}
	return append(x.parts, part{text: x.text.String()}), nil
}

// take moves n bytes of the command to the text.
func (x *lexer) take(n int) {
	n = min(n, len(x.rest))
	x.text.WriteString(x.rest[:n])
	x.rest, x.word = x.rest[n:], true
}

func (x *lexer) quoted() bool { return x.within() == '"' }

func (x *lexer) within() byte {
	if len(x.open) == 0 {
		return 0
	}
	return x.open[len(x.open)-1]
}

// place takes a placeholder.
func (x *lexer) place(place string, q quoting) error {
	if x.unknown != "" && !isNumber(place) {
		return errUnsafe(place, x.unknown)
	}
	x.parts = append(x.parts, part{x.text.String(), place, q})
	x.text.Reset()
	x.rest, x.word = x.rest[len(place):], true
	return nil
}

func (x *lexer) step() error {
	if place := x.placeAt(x.rest); place != "" {
		if x.quoted() {
			return x.place(place, doubleQuoted)
		}
		return x.place(place, unquoted)
	}
	switch c := x.rest[0]; {
	case strings.HasPrefix(x.rest, "\\\n"):
		word := x.word
		x.take(2)
		x.word = word // the line goes on
	case c == '\\':
		x.take(2)
	case c == '`':
		x.skip("`...`", 1)
	case c == '$':
		x.dollar()
	case c == '"' && x.quoted():
		x.open = x.open[:len(x.open)-1]
		x.take(1)
	case c == '"':
		x.open = append(x.open, '"')
		x.take(1)
	case x.quoted():
		x.take(1)
	default:
		return x.plain(c)
	}
	return nil
}

// plain takes what begins with c outside of double quotes.
func (x *lexer) plain(c byte) error {
	switch {
	case c == '\'':
		return x.single()
	case c == '#' && !x.word:
		end := strings.IndexByte(x.rest+"\n", '\n')
		x.take(end) // a comment
	case strings.HasPrefix(x.rest, "<<"):
		x.skip("<<", 2)
	case c == '(':
		x.open = append(x.open, '(')
		x.take(1)
	case c == ')' && x.within() == '(':
		x.open = x.open[:len(x.open)-1]
		x.take(1)
	default:
		x.take(1)
	}
	x.word = !strings.ContainsRune(" \t\n;&|()<>", rune(c))
	return nil
}

// single takes a text in single quotes.
func (x *lexer) single() error {
	x.take(1)
	for x.rest != "" && x.rest[0] != '\'' {
		if place := x.placeAt(x.rest); place != "" {
			if err := x.place(place, singleQuoted); err != nil {
				return err
			}
			continue
		}
		x.take(1)
	}
	x.take(1)
	return nil
}

// simpleParameter is a ${...} in which no quotes and no braces can be.
var simpleParameter = regexp.MustCompile(`^\$\{[A-Za-z0-9_#?@*!:%/.,+=-]*\}`)

// dollar takes the beginning of a substitution, or a parameter.
func (x *lexer) dollar() {
	switch {
	case strings.HasPrefix(x.rest, "$(("):
		x.skip("$((...))", 3)
	case strings.HasPrefix(x.rest, "$("):
		if x.quoted() && strings.Contains(x.rest, "case") { // its ")" end nothing
			x.skip("case within $(...)", 2)
			return
		}
		x.open = append(x.open, '(')
		x.take(2)
		x.word = false
	case strings.HasPrefix(x.rest, "$'") && !x.quoted():
		x.skip("$'...'", 1) // some shells know it
	case strings.HasPrefix(x.rest, "${"):
		if simple := simpleParameter.FindString(x.rest); simple != "" {
			x.take(len(simple))
			return
		}
		x.skip("${...}", 2)
	default:
		x.take(1)
	}
}

// skip takes n bytes of a construct that is not known.
func (x *lexer) skip(construct string, n int) {
	if x.unknown == "" {
		x.unknown = construct
	}
	x.take(n)
}
