package command

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// placeholders are the placeholders of GNU parallel for one item.
var placeholders = []string{"{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"}

// A target has the values for the placeholders of one item.
type target struct {
	item   string
	number int64 // position in the input, from 1
	slot   int   // number among the running processes, from 1
}

// value returns the value of a placeholder.
func (t target) value(place string) string {
	switch place {
	case "{.}":
		return withoutExtension(t.item)
	case "{/}":
		return base(t.item)
	case "{//}":
		return directory(t.item)
	case "{/.}":
		return withoutExtension(base(t.item))
	case "{#}":
		return strconv.FormatInt(t.number, 10)
	case "{%}":
		return strconv.Itoa(t.slot)
	}
	return t.item
}

// withoutExtension removes the extension of the last element of a path, with its dot.
func withoutExtension(path string) string {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 || strings.IndexByte(path[dot:], '/') >= 0 {
		return path
	}
	return path[:dot]
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// directory returns the directory of a path, as dirname does.
func directory(path string) string {
	trimmed := strings.TrimRight(path, "/")
	if trimmed == "" && path != "" {
		return "/"
	}
	slash := strings.LastIndexByte(trimmed, '/')
	if slash < 0 {
		return "."
	}
	if parent := strings.TrimRight(trimmed[:slash], "/"); parent != "" {
		return parent
	}
	return "/"
}

// A quoting is the kind of quotes around a placeholder.
type quoting byte

const (
	unquoted     quoting = 0
	singleQuoted quoting = '\''
	doubleQuoted quoting = '"'
)

var inDoubleQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")

// quote returns the text that replaces a placeholder. Outside of quotes, the shell reads the text
// as the value, always one word. Within quotes, the shell reads it as the value quoted for an inner
// shell, as in `bash -c "wc {}"`.
func (q quoting) quote(value string) string {
	switch q {
	case singleQuoted:
		return strings.ReplaceAll(forShell(value), `'`, `'\''`)
	case doubleQuoted:
		return inDoubleQuotes.Replace(forShell(value))
	}
	return `'` + strings.ReplaceAll(value, `'`, `'"'"'`) + `'`
}

var harmless = regexp.MustCompile(`^[-_.+A-Za-z0-9/]+$`)

// forShell quotes a value as GNU parallel does: only if a shell would change it.
func forShell(value string) string {
	if harmless.MatchString(value) {
		return value
	}
	return unquoted.quote(value)
}

// A part is a piece of a command: a text and the placeholder after it.
type part struct {
	text  string
	place string // empty at the end of the command
	quoting
}

// insert returns the text that replaces the placeholder. Numbers need no quotes.
func (p part) insert(value string) string {
	if isNumber(p.place) {
		return value
	}
	return p.quote(value)
}

func isNumber(place string) bool { return place == "{#}" || place == "{%}" }

// A template is a command that is cut at its placeholders. A template of one part has none.
type template []part

func (t template) takesItem() bool { return len(t) > 1 }

var errNUL = errors.New("the item contains a NUL byte and cannot be an argument: leave out the placeholder, the command then reads the item from stdin")

// expand returns the command line for an item.
func (t template) expand(of target) (string, error) {
	if !t.takesItem() {
		return t[0].text, nil
	}
	if strings.Contains(of.item, "\x00") {
		return "", errNUL
	}
	var line strings.Builder
	for _, p := range t {
		line.WriteString(p.text)
		if p.place != "" {
			line.WriteString(p.insert(of.value(p.place)))
		}
	}
	return line.String(), nil
}

// placeholderAt returns the placeholder at the start of text, empty if there is none.
func placeholderAt(text string) string {
	for _, place := range placeholders {
		if strings.HasPrefix(text, place) {
			return place
		}
	}
	return ""
}

// firstPlaceholder returns the first placeholder of a command, also within quotes, empty if there
// is none.
func firstPlaceholder(command string) string {
	for i := range len(command) {
		if place := placeholderAt(command[i:]); place != "" {
			return place
		}
	}
	return ""
}

// errUnsafe returns the error of a placeholder after an unknown construct.
func errUnsafe(place, construct string) error {
	return fmt.Errorf("%s after %s cannot be quoted safely: put it before, or leave it out and read the item from stdin",
		place, construct)
}
