package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/internal/glob"
)

// A Column is a column of a table: its head, and the function that returns the cell of a row.
type Column[T any] struct {
	Head string
	Cell func(T) any
	Wide bool // only with --wide
}

// JSONFlag returns --json of the verbs that list.
func JSONFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print a JSON array"}
}

// ListFlags returns the flags of a verb whose rows List filters and sorts.
func ListFlags() []urfave.Flag {
	return []urfave.Flag{
		JSONFlag(),
		&urfave.StringFlag{Name: "filter", Usage: "show the rows with a cell that matches `GLOB`, such as 'orders*'", DefaultText: "all"},
		&urfave.StringFlag{Name: "sort", Usage: "sort by the column `HEAD`; -HEAD sorts the other way round", DefaultText: "as listed"},
		&urfave.IntFlag{Name: "limit", Usage: "show the first `N` rows", DefaultText: "all"},
		&urfave.BoolFlag{Name: "wide", DisableDefaultText: true, Usage: "show all columns, and cells of any width"},
	}
}

// WatchFlags returns ListFlags and those of Watch.
func WatchFlags() []urfave.Flag { return append(ListFlags(), RepeatFlags()...) }

// RepeatFlags returns the flags of Watch alone.
func RepeatFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "watch", DisableDefaultText: true, Usage: "show the list again and again, until Ctrl-C"},
		&urfave.DurationFlag{Name: "every", Value: 2 * time.Second, Usage: "with --watch: `TIME` between two lists"},
	}
}

// minEvery is the least time between two lists: a list costs Redis some milliseconds.
const minEvery = 100 * time.Millisecond

// Watch prints the rows that read returns; with --watch again and again, until ctx of c ends. Each
// list takes the place of the one before on a terminal, and otherwise follows it behind a line with
// the time. With --json each list is one line.
func Watch[T any](c *urfave.Context, read func(context.Context) ([]T, error), columns ...Column[T]) error {
	if !c.Bool("watch") {
		rows, err := read(c.Context)
		if err != nil {
			return err
		}
		return List(c, rows, columns...)
	}
	every := c.Duration("every")
	if every < minEvery {
		return Usagef("--every %v: it must be at least %v", every, minEvery)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		rows, err := read(c.Context)
		if err == nil {
			err = errors.Join(begin(c), List(c, rows, columns...))
		}
		if err != nil {
			return err
		}
		select {
		case <-c.Done():
			return context.Cause(c.Context)
		case <-tick.C:
		}
	}
}

// begin writes what separates a list from the one before.
func begin(c *urfave.Context) error {
	var err error
	switch w := c.App.Writer; {
	case c.Bool("json"):
	case IsTerminal(w):
		_, err = io.WriteString(w, "\x1b[H\x1b[J") // to the first line, and erase all behind it
	default:
		_, err = fmt.Fprintln(w, "# "+time.Now().Format(time.RFC3339))
	}
	return AsOutput(err)
}

// List prints rows as a table, or as one JSON array with --json. It filters and sorts them as the flags of
// the verb say.
func List[T any](c *urfave.Context, rows []T, columns ...Column[T]) error {
	shown, cut := columns, 0
	if !c.Bool("wide") && !c.Bool("json") {
		shown = slices.DeleteFunc(slices.Clone(columns), func(column Column[T]) bool { return column.Wide })
		if IsTerminal(c.App.Writer) {
			cut = width(c.App.Writer)
		}
	}
	rows, err := chosen(c, rows, columns, shown)
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return writeJSON(c.App.Writer, rows)
	}
	return writeTable(c.App.Writer, rows, shown, cut)
}

// chosen filters rows by the columns that are shown, sorts them by any column and limits them.
func chosen[T any](c *urfave.Context, rows []T, columns, shown []Column[T]) ([]T, error) {
	rows = slices.Clone(rows)
	if text := c.String("filter"); text != "" {
		pattern, err := glob.Parse(text)
		if err != nil {
			return nil, Usagef("--filter %s: %v", text, err)
		}
		rows = slices.DeleteFunc(rows, func(row T) bool {
			return !slices.ContainsFunc(shown, func(column Column[T]) bool { return pattern.Matches(cell(column.Cell(row))) })
		})
	}
	if head := c.String("sort"); head != "" {
		name, backwards := strings.CutPrefix(head, "-")
		i := slices.IndexFunc(columns, func(column Column[T]) bool { return strings.EqualFold(column.Head, name) })
		if i < 0 {
			return nil, Usagef("--sort %s: there is no such column: use one of %s", head, strings.ToLower(strings.Join(heads(columns), ", ")))
		}
		slices.SortStableFunc(rows, func(a, b T) int {
			order := compare(columns[i].Cell(a), columns[i].Cell(b))
			if backwards {
				return -order
			}
			return order
		})
	}
	limit := c.Int("limit")
	if limit < 0 {
		return nil, Usagef("--limit %d: it must not be negative", limit)
	}
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	return rows, nil
}

func heads[T any](columns []Column[T]) (heads []string) {
	for _, column := range columns {
		heads = append(heads, column.Head)
	}
	return heads
}

// compare orders two cells of a column: numbers, durations and times by their value, all others as
// text.
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

func writeJSON[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{} // not null
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return AsOutput(enc.Encode(rows))
}

// writeTable writes rows as a table. If it would be wider than cut, which is not 0, its cells get at
// most maxCell characters.
func writeTable[T any](w io.Writer, rows []T, columns []Column[T], cut int) error {
	lines := [][]string{heads(columns)}
	for _, row := range rows {
		var cells []string
		for _, column := range columns {
			cells = append(cells, cell(column.Cell(row)))
		}
		lines = append(lines, cells)
	}
	if cut > 0 && tableWidth(lines) > cut {
		for _, cells := range lines {
			for i, text := range cells {
				cells[i] = shorten(text)
			}
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)
	for _, cells := range lines {
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // Flush returns the error
	}
	return AsOutput(table.Flush())
}

// tableWidth returns the width of a table with two spaces between its columns.
func tableWidth(lines [][]string) (total int) {
	for i := range lines[0] {
		widest := 0
		for _, cells := range lines {
			widest = max(widest, utf8.RuneCountInString(cells[i]))
		}
		total += widest + 2
	}
	return total - 2
}

// maxCell is the number of characters of a cell in a table that is wider than the terminal.
const maxCell = 28

func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxCell {
		return text
	}
	return string([]rune(text)[:maxCell-1]) + "…"
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
