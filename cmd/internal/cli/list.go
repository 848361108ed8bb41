package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"
)

// A Column is a column of a table: its head, and the function that returns the cell of a row.
type Column[T any] struct {
	Head string
	Cell func(T) any
}

// JSONFlag returns --json of the verbs that list.
func JSONFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print a JSON array"}
}

// List prints rows as a table, or as one JSON array with --json.
func List[T any](c *urfave.Context, rows []T, columns ...Column[T]) error {
	if c.Bool("json") {
		return writeJSON(c.App.Writer, rows)
	}
	return writeTable(c.App.Writer, rows, columns)
}

func writeJSON[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{} // not null
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return AsOutput(enc.Encode(rows))
}

func writeTable[T any](w io.Writer, rows []T, columns []Column[T]) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)
	cells := make([]string, len(columns))
	for i, column := range columns {
		cells[i] = column.Head
	}
	write := func() { _, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) } // Flush returns the error
	write()
	for _, row := range rows {
		for i, column := range columns {
			cells[i] = cell(column.Cell(row))
		}
		write()
	}
	return AsOutput(table.Flush())
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
	return text
}
