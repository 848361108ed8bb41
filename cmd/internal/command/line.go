package command

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Line is a command line with the placeholders of GNU parallel for the values of a call.
type Line struct {
	parts   template
	names   []string // column names
	isValue bool     // there are no words: the value is the command line
	slots   slots
}

// ParseLine reads a command for `sh -c`. It joins the words with spaces. Besides the placeholders
// of exec:, {1} is the first value, {-1} the last one and {NAME} the value of a column; {1.}, {1/},
// {1//} and {1/.} are parts of the first value. {} stands for all values, one word each. A command
// without placeholders gets {} at its end. Without words, the value is the command line.
func ParseLine(words, names []string) (*Line, error) {
	l := &Line{names: names}
	if len(words) == 0 {
		l.isValue = true
		return l, nil
	}
	text := strings.Join(words, " ")
	var err error
	if l.parts, err = parseWith(l.placeholderAt, text); err == nil && len(l.parts) == 1 {
		l.parts, err = parseWith(l.placeholderAt, text+" {}")
	}
	return l, err
}

// Expand returns the command line of call number with values. The caller calls release after the
// end of the call, which frees its slot number.
func (l *Line) Expand(values []string, number int64) (line string, release func(), err error) {
	for _, value := range values {
		if strings.Contains(value, "\x00") {
			return "", nil, errNUL
		}
	}
	if l.isValue {
		return strings.Join(values, " "), func() {}, nil
	}
	slot := l.slots.take()
	var text strings.Builder
	for _, p := range l.parts {
		text.WriteString(p.text)
		switch p.place {
		case "":
		case "{#}":
			text.WriteString(strconv.FormatInt(number, 10))
		case "{%}":
			text.WriteString(strconv.Itoa(slot))
		default:
			text.WriteString(l.insert(p, values))
		}
	}
	return text.String(), func() { l.slots.release(slot) }, nil
}

// insert returns the text that replaces the placeholder of p.
func (l *Line) insert(p part, values []string) string {
	column, form := columnOf(p.place)
	if column != "" {
		i := l.index(column, len(values))
		if i < 0 || i >= len(values) {
			return ""
		}
		values = values[i : i+1]
	}
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = p.quoteMinimal(target{item: value}.value("{" + form + "}"))
	}
	return strings.Join(quoted, " ")
}

// quoteMinimal quotes a value for these quotes. Outside of quotes, it leaves a value unquoted if no
// shell would change it.
func (q quoting) quoteMinimal(value string) string {
	if q == unquoted {
		return forShell(value)
	}
	return q.quote(value)
}

// Quote returns value as one word for a shell, unquoted if no shell would change it.
func Quote(value string) string { return forShell(value) }

// index returns the index of a column among n values. The index may be out of range.
func (l *Line) index(column string, n int) int {
	if i := slices.Index(l.names, column); i >= 0 {
		return i
	}
	number, _ := strconv.Atoi(column)
	if number < 0 {
		return n + number
	}
	return number - 1
}

var placeForm = regexp.MustCompile(`^\{([^{}]*?)(//|/\.|/|\.|)\}`)

// columnOf returns the column of a placeholder, empty for all values, and the part of the value.
func columnOf(place string) (column, form string) {
	found := placeForm.FindStringSubmatch(place)
	return found[1], found[2]
}

// placeholderAt returns the placeholder at the start of text, empty if there is none.
func (l *Line) placeholderAt(text string) string {
	if place := placeholderAt(text); place != "" {
		return place
	}
	place := placeForm.FindString(text)
	if place == "" {
		return ""
	}
	column, _ := columnOf(place)
	if number, err := strconv.Atoi(column); slices.Contains(l.names, column) || err == nil && number != 0 && fmt.Sprint(number) == column {
		return place
	}
	return ""
}
