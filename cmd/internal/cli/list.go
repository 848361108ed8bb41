package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/internal/glob"
)

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

// Watch prints the rows that read returns, in its columns; with --watch again and again, until ctx of c ends. Each
// list takes the place of the one before on a terminal, and otherwise follows it behind a line with
// the time. With --json each list is one line.
func Watch[T any](c *urfave.Context, read func(context.Context) ([]T, []Column[T], error)) error {
	if !c.Bool("watch") {
		rows, columns, err := read(c.Context)
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
		rows, columns, err := read(c.Context)
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
	return WriteTable(c.App.Writer, rows, shown, cut)
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
			return !slices.ContainsFunc(shown, func(column Column[T]) bool { return pattern.Matches(column.Text(row)) })
		})
	}
	if head := c.String("sort"); head != "" {
		name, backwards := strings.CutPrefix(head, "-")
		i := slices.IndexFunc(columns, func(column Column[T]) bool { return strings.EqualFold(column.Head, name) })
		if i < 0 {
			return nil, Usagef("--sort %s: there is no such column: use one of %s", head, strings.ToLower(strings.Join(heads(columns), ", ")))
		}
		slices.SortStableFunc(rows, func(a, b T) int {
			order := columns[i].Compare(a, b)
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

func writeJSON[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{} // not null
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return AsOutput(enc.Encode(rows))
}
