package command

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// placeholders are the texts in a command that the item replaces, as in GNU parallel.
var placeholders = []string{"{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"}

// A target is an item, as placeholders need it.
type target struct {
	item   string
	number int64 // its place in the input, from 1
	slot   int   // no other process that runs has it, from 1
}

// value returns what a placeholder stands for.
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

// withoutExtension removes the last "." of the last element of a path and what follows it.
func withoutExtension(path string) string {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 || strings.IndexByte(path[dot:], '/') >= 0 {
		return path
	}
	return path[:dot]
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// directory returns what dirname prints.
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

// A quoting is the kind of quotes of the shell around a placeholder.
type quoting byte

const (
	unquoted     quoting = 0
	singleQuoted quoting = '\''
	doubleQuoted quoting = '"'
)

var inDoubleQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`")

// quote returns text for a place in a command. Without quotes around it, the shell makes of it the value,
// always one word. Within quotes, the shell makes of it the value quoted for another shell, as for `bash -c "wc {}"`.
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

// forShell quotes a value as GNU parallel does: as it is if no shell would change it.
func forShell(value string) string {
	if harmless.MatchString(value) {
		return value
	}
	return unquoted.quote(value)
}

// A part is a piece of a command: a text, and the placeholder behind it.
type part struct {
	text  string
	place string // empty: none, the command ends
	quoting
}

// insert returns what stands in the place of the placeholder. Numbers need no quotes.
func (p part) insert(value string) string {
	if isNumber(p.place) {
		return value
	}
	return p.quote(value)
}

func isNumber(place string) bool { return place == "{#}" || place == "{%}" }

// A template is a command with placeholders. Without one, nothing of the item goes into the command.
type template []part

func (t template) takesItem() bool { return len(t) > 1 }

var errNUL = errors.New("the item contains a NUL byte and cannot be an argument, use the command without a placeholder: it gets the item by stdin")

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

// placeAt returns the placeholder that text begins with.
func placeAt(text string) string {
	for _, place := range placeholders {
		if strings.HasPrefix(text, place) {
			return place
		}
	}
	return ""
}

// firstPlaceholder returns the first placeholder of a command, wherever it stands; empty: there is none.
func firstPlaceholder(command string) string {
	for i := range len(command) {
		if place := placeAt(command[i:]); place != "" {
			return place
		}
	}
	return ""
}

// errUnsafe says why a placeholder cannot stand where it does.
func errUnsafe(place, construct string) error {
	return fmt.Errorf("%s behind %s cannot be quoted safely: put it before that, or leave it out and read the item from stdin",
		place, construct)
}
