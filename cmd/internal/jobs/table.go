package jobs

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A Row is an item of the input and its values.
type Row struct {
	Line   string
	Values []string
}

// A Table says how the input becomes rows. The zero value makes one value of each line.
type Table struct {
	CSV    bool
	Comma  rune           // of CSV
	Sep    *regexp.Regexp // between columns, if not CSV; nil: there is one
	Header bool           // the first row names the columns
}

// NewTable returns the Table of --csv, --colsep and --header.
func NewTable(isCSV bool, colsep, header string) (t Table, err error) { //nolint:revive // the user says it
	t = Table{CSV: isCSV, Comma: ',', Header: header == ":"}
	if header != "" && header != ":" {
		return t, fmt.Errorf("--header %q: only : is known, the first line names the columns", header)
	}
	if isCSV && colsep != "" {
		sep := strings.ReplaceAll(colsep, `\t`, "\t")
		if t.Comma, _ = utf8.DecodeRuneInString(sep); utf8.RuneCountInString(sep) != 1 || strings.ContainsRune("\"\r\n\uFFFD", t.Comma) {
			return t, fmt.Errorf("--colsep %q: with --csv it is one character", colsep)
		}
		return t, nil
	}
	if colsep == "" && header != "" && !isCSV {
		colsep = `\t` // as of parallel
	}
	if colsep != "" && !isCSV {
		if t.Sep, err = regexp.Compile(colsep); err != nil {
			return t, fmt.Errorf("--colsep %q: %w", colsep, err)
		}
	}
	return t, nil
}

// Columns reports whether a row can have several values.
func (t Table) Columns() bool { return t.CSV || t.Sep != nil }

// Open begins to read. The names are those of the columns, and head is the line that has them.
func (t Table) Open(r io.Reader, lines iter.Seq2[[]byte, error]) (names []string, head string, rows iter.Seq2[Row, error], err error) {
	rows = t.rows(lines)
	if t.CSV {
		rows = t.csv(r)
	}
	if !t.Header {
		return nil, "", rows, nil
	}
	next, stop := iter.Pull2(rows)
	first, err, _ := next()
	if err != nil {
		stop()
		return nil, "", nil, err
	}
	if len(first.Values) > 0 {
		first.Values[0] = strings.TrimPrefix(first.Values[0], "\uFEFF") // of a file from Windows
	}
	return first.Values, first.Line, func(yield func(Row, error) bool) {
		defer stop()
		for {
			row, err, ok := next()
			if !ok || !yield(row, err) {
				return
			}
		}
	}, nil
}

// rows are lines with columns.
func (t Table) rows(lines iter.Seq2[[]byte, error]) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for line, err := range lines {
			row := Row{Line: string(line)}
			row.Values = []string{row.Line}
			if t.Sep != nil && err == nil {
				row.Values = t.Sep.Split(row.Line, -1)
				for i, value := range row.Values {
					row.Values[i] = strings.Trim(value, " \t\r\n")
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// csv are the records of CSV.
func (t Table) csv(r io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		in := csv.NewReader(r)
		in.Comma, in.FieldsPerRecord = t.Comma, -1
		for {
			values, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(Row{t.line(values), values}, err) || err != nil {
				return
			}
		}
	}
}

// line is a record as it stands in a file, without the newline.
func (t Table) line(values []string) string {
	var text strings.Builder
	out := csv.NewWriter(&text)
	out.Comma = t.Comma
	if out.Write(values) == nil { // only a Comma that NewTable refuses is an error
		out.Flush()
	}
	return strings.TrimSuffix(text.String(), "\n")
}
