package command

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Line is a command line with placeholders for the values of a call, as GNU parallel has them.
type Line struct {
	parts template
	names []string // of columns
	whole bool     // the value is the command line
	slots slots
}

// ParseLine reads a command: words that one space joins, for `sh -c`. Besides the placeholders of exec:, {1} is the
// first value and {-1} the last one, {NAME} that of a column, and {1.}, {1/}, {1//} and {1/.} are parts of it. {} is
// all values, one word each. A command without any placeholder has {} at its end. Without words, the value
// is the command line.
func ParseLine(words, names []string) (*Line, error) {
	l := &Line{names: names}
	if len(words) == 0 {
		l.whole = true
		return l, nil
	}
	text := strings.Join(words, " ")
	var err error
	if l.parts, err = parseWith(l.placeAt, text); err == nil && len(l.parts) == 1 {
		l.parts, err = parseWith(l.placeAt, text+" {}")
	}
	return l, err
}

// Expand returns the command line of a call with values, the number-th one. Release gives back the number of its slot
// after the call has ended.
func (l *Line) Expand(values []string, number int64) (line string, release func(), err error) {
	for _, value := range values {
		if strings.Contains(value, "\x00") {
			return "", nil, errNUL
		}
	}
	if l.whole {
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

// insert returns what stands in the place of a placeholder for values.
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
		quoted[i] = p.likeParallel(target{item: value}.value("{" + form + "}"))
	}
	return strings.Join(quoted, " ")
}

// likeParallel quotes a value. Without quotes around it, it stands as it is if no shell would change it.
func (q quoting) likeParallel(value string) string {
	if q == unquoted {
		return forShell(value)
	}
	return q.quote(value)
}

// Quote returns a value as one word for a shell, as it is if no shell would change it.
func Quote(value string) string { return forShell(value) }

// index returns which of n values a column is.
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

// columnOf returns the column that a placeholder names, empty for all, and which part of the value it means.
func columnOf(place string) (column, form string) {
	found := placeForm.FindStringSubmatch(place)
	return found[1], found[2]
}

// placeAt returns the placeholder that text begins with.
func (l *Line) placeAt(text string) string {
	if place := placeAt(text); place != "" {
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
