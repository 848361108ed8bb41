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

// A Row is a row of the input: its line and the values of its columns.
type Row struct {
	Line   string
	Values []string
}

// A Table is the format of the input. The zero value has one value in each line.
type Table struct {
	CSV    bool
	Comma  rune           // of CSV
	Sep    *regexp.Regexp // between columns, without CSV; nil: a line is one column
	Header bool           // the first row names the columns
}

// NewCSVTable returns the Table of --csv. An empty separator is a comma.
func NewCSVTable(separator, header string) (Table, error) {
	t := Table{CSV: true, Comma: ','}
	if err := t.setHeader(header); err != nil || separator == "" {
		return t, err
	}
	text := strings.ReplaceAll(separator, `\t`, "\t")
	t.Comma, _ = utf8.DecodeRuneInString(text)
	if utf8.RuneCountInString(text) != 1 || strings.ContainsRune("\"\r\n\uFFFD", t.Comma) {
		return t, fmt.Errorf("--colsep %q: with --csv it is one character", separator)
	}
	return t, nil
}

// NewTable returns the Table of --colsep and --header. With a header, an empty separator is a tab,
// as in GNU parallel. Otherwise a line is one column.
func NewTable(separator, header string) (t Table, err error) {
	if err := t.setHeader(header); err != nil {
		return t, err
	}
	if separator == "" && t.Header {
		separator = `\t`
	}
	if separator != "" {
		if t.Sep, err = regexp.Compile(separator); err != nil {
			return t, fmt.Errorf("--colsep %q: %w", separator, err)
		}
	}
	return t, nil
}

func (t *Table) setHeader(header string) error {
	if header != "" && header != ":" {
		return fmt.Errorf("--header %q: the only value is : (the first line names the columns)", header)
	}
	t.Header = header == ":"
	return nil
}

// Columns reports whether a row can have several values.
func (t Table) Columns() bool { return t.CSV || t.Sep != nil }

// Open begins to read: CSV from r, and otherwise lines. With Header, it returns the names of the
// columns, and head, the line with the names.
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
		first.Values[0] = strings.TrimPrefix(first.Values[0], "\uFEFF") // a byte order mark
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

// rows returns the rows of lines.
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

// csv returns the records of CSV as rows.
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

// line returns a record as a line of CSV, without the newline.
func (t Table) line(values []string) string {
	var text strings.Builder
	out := csv.NewWriter(&text)
	out.Comma = t.Comma
	if out.Write(values) == nil { // the only error is a Comma that NewCSVTable refuses
		out.Flush()
	}
	return strings.TrimSuffix(text.String(), "\n")
}
