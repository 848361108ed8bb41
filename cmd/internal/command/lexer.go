package command

import (
	"regexp"
	"strings"
)

// A lexer finds the placeholders of a command and the quotes around each. It knows the quotes,
// comments and substitutions of the shell. After a construct that it does not know, it cannot tell
// the quotes, and refuses placeholders of items.
type lexer struct {
	placeholderAt func(text string) string // the placeholder at the start of text
	rest          string
	parts         template
	text          strings.Builder
	nesting       []byte // the open " and (
	inWord        bool   // the last byte belongs to a word, so that # begins no comment
	unknown       string // the first unknown construct
}

// parseTemplate returns the placeholders of a command for `sh -c`.
func parseTemplate(command string) (template, error) { return parseWith(placeholderAt, command) }

func parseWith(placeholderAt func(string) string, command string) (template, error) {
	x := lexer{placeholderAt: placeholderAt, rest: command}
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
	x.rest, x.inWord = x.rest[n:], true
}

func (x *lexer) quoted() bool { return x.innermost() == '"' }

func (x *lexer) innermost() byte {
	if len(x.nesting) == 0 {
		return 0
	}
	return x.nesting[len(x.nesting)-1]
}

// place takes a placeholder.
func (x *lexer) place(place string, q quoting) error {
	if x.unknown != "" && !isNumber(place) {
		return errUnsafe(place, x.unknown)
	}
	x.parts = append(x.parts, part{x.text.String(), place, q})
	x.text.Reset()
	x.rest, x.inWord = x.rest[len(place):], true
	return nil
}

func (x *lexer) step() error {
	if place := x.placeholderAt(x.rest); place != "" {
		if x.quoted() {
			return x.place(place, doubleQuoted)
		}
		return x.place(place, unquoted)
	}
	switch c := x.rest[0]; {
	case strings.HasPrefix(x.rest, "\\\n"):
		inWord := x.inWord
		x.take(2)
		x.inWord = inWord // the line continues
	case c == '\\':
		x.take(2)
	case c == '`':
		x.skip("`...`", 1)
	case c == '$':
		x.dollar()
	case c == '"' && x.quoted():
		x.nesting = x.nesting[:len(x.nesting)-1]
		x.take(1)
	case c == '"':
		x.nesting = append(x.nesting, '"')
		x.take(1)
	case x.quoted():
		x.take(1)
	default:
		return x.plain(c)
	}
	return nil
}

// plain takes the construct at c, outside of double quotes.
func (x *lexer) plain(c byte) error {
	switch {
	case c == '\'':
		return x.single()
	case c == '#' && !x.inWord:
		end := strings.IndexByte(x.rest+"\n", '\n')
		x.take(end) // a comment
	case strings.HasPrefix(x.rest, "<<"):
		x.skip("<<", 2)
	case c == '(':
		x.nesting = append(x.nesting, '(')
		x.take(1)
	case c == ')' && x.innermost() == '(':
		x.nesting = x.nesting[:len(x.nesting)-1]
		x.take(1)
	default:
		x.take(1)
	}
	x.inWord = !strings.ContainsRune(" \t\n;&|()<>", rune(c))
	return nil
}

// single takes a single-quoted text.
func (x *lexer) single() error {
	x.take(1)
	for x.rest != "" && x.rest[0] != '\'' {
		if place := x.placeholderAt(x.rest); place != "" {
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

// simpleParameter matches a ${...} without quotes and inner braces.
var simpleParameter = regexp.MustCompile(`^\$\{[A-Za-z0-9_#?@*!:%/.,+=-]*\}`)

// dollar takes a parameter, or the beginning of a substitution.
func (x *lexer) dollar() {
	switch {
	case strings.HasPrefix(x.rest, "$(("):
		x.skip("$((...))", 3)
	case strings.HasPrefix(x.rest, "$("):
		if x.quoted() && strings.Contains(x.rest, "case") { // a ")" of case closes no parenthesis
			x.skip("case within $(...)", 2)
			return
		}
		x.nesting = append(x.nesting, '(')
		x.take(2)
		x.inWord = false
	case strings.HasPrefix(x.rest, "$'") && !x.quoted():
		x.skip("$'...'", 1) // only some shells have it
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

// skip takes n bytes of an unknown construct.
func (x *lexer) skip(construct string, n int) {
	if x.unknown == "" {
		x.unknown = construct
	}
	x.take(n)
}
