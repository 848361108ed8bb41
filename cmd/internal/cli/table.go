package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// A Column is a column of a table: its head, and the function that returns the cell of a row.
type Column[T any] struct {
	Head string
	Cell func(T) any
	Wide bool // only with --wide
}

// Text returns the text of a row's cell, without control characters. It is never empty.
func (c Column[T]) Text(row T) string { return cell(c.Cell(row)) }

// Compare orders two rows by their cells: numbers, durations and times by their value, all others as
// text.
func (c Column[T]) Compare(a, b T) int { return compare(c.Cell(a), c.Cell(b)) }

func compare(a, b any) int {
	switch a := a.(type) {
	case int:
		return cmp.Compare(a, b.(int))
	case int64:
		return cmp.Compare(a, b.(int64))
	case Number:
		return cmp.Compare(a.Value, b.(Number).Value)
	case Age:
		return cmp.Compare(a, b.(Age))
	case time.Duration:
		return cmp.Compare(a, b.(time.Duration))
	}
	return cmp.Compare(cell(a), cell(b))
}

func heads[T any](columns []Column[T]) (heads []string) {
	for _, column := range columns {
		heads = append(heads, column.Head)
	}
	return heads
}

// WriteTable writes rows as a table. If it would be wider than cut, which is not 0, its widest cells lose
// their ends, but no cell gets narrower than minCell.
func WriteTable[T any](w io.Writer, rows []T, columns []Column[T], cut int) error {
	lines := [][]string{heads(columns)}
	for _, row := range rows {
		var cells []string
		for _, column := range columns {
			cells = append(cells, column.Text(row))
		}
		lines = append(lines, cells)
	}
	if cut > 0 {
		widths := fit(widthsOf(lines), cut)
		for _, cells := range lines {
			for i, text := range cells {
				cells[i] = shorten(text, widths[i])
			}
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)
	for _, cells := range lines {
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // Flush returns the error
	}
	return AsOutput(table.Flush())
}

// widthsOf returns the width of each column of a table.
func widthsOf(lines [][]string) []int {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, text := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	return widths
}

// minCell is the width below which no column gets narrower for the terminal.
const minCell = 8

// fit makes the widest columns narrower until the table, with two spaces between columns, fits.
func fit(widths []int, cut int) []int {
	total := -2
	for _, w := range widths {
		total += w + 2
	}
	for ; total > cut; total-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minCell {
			break
		}
		widths[widest]--
	}
	return widths
}

// shorten cuts a text to a width.
func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// A Number is a number whose text says more than its value.
type Number struct {
	Value int64
	Text  string
}

func (n Number) String() string { return n.Text }

// An Age is the time since an event, in seconds for people. Its text is empty without an event.
type Age time.Duration

// Since returns the time between then and now, negative if then is zero.
func Since(now, then time.Time) Age {
	if then.IsZero() {
		return -1
	}
	return Age(max(0, now.Sub(then)))
}

func (a Age) String() string {
	switch d := time.Duration(a); {
	case d < 0:
		return ""
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// cell returns the text of a value. Empty text is a dash, so that every row has all columns.
func cell(v any) string {
	text := fmt.Sprint(v)
	if list, ok := v.([]string); ok {
		text = strings.Join(list, ",")
	}
	if text == "" {
		return "-"
	}
	return strings.ReplaceAll(Printable(text), "\t", " ")
}
