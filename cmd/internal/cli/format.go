package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// A Style is the text format of records.
type Style struct {
	End  string // follows each output
	JSON bool   // an object for each record
	Tag  bool   // the values stand before each line
	// InJSON and OutJSON say that the values and the outputs are JSON already.
	InJSON, OutJSON bool
	// Names are the names of the values in JSON.
	Names []string
	// Quiet says that there is no output except JSON.
	Quiet bool
	// Jobs says that the records are of jobs of a command.
	Jobs bool
}

// lineEnd returns the last byte of each line of the output.
func (s *Style) lineEnd() byte {
	if s.End == "\x00" && !s.JSON {
		return 0
	}
	return '\n'
}

// isPlain reports whether the text of a record is its output and End.
func (s *Style) isPlain() bool { return !s.JSON && !s.Tag && !s.Quiet }

// Format appends the text of a record to dst.
func (s *Style) Format(dst []byte, rec *Record) []byte {
	switch {
	case s.JSON:
		dst = s.appendJSON(dst, rec)
	case s.Quiet:
	case s.Tag:
		if len(rec.Output) == 0 && !s.Jobs { // an empty result is a line
			dst = append(dst, tag(rec)...)
		}
		dst = append(tagged(dst, rec, rec.Output), s.End...)
	default:
		dst = append(append(dst, rec.Output...), s.End...)
	}
	return dst
}

// Stderr returns the text of the stderr of a record.
func (s *Style) Stderr(rec *Record) []byte {
	switch {
	case s.JSON || s.Quiet:
		return nil
	case s.Tag:
		return tagged(nil, rec, rec.Stderr)
	}
	return rec.Stderr
}

// tag returns the beginning of each line of a record: its values and a tab.
func tag(rec *Record) string { return strings.Join(rec.Args, " ") + "\t" }

// tagged appends text to dst, with the tag of the record before each line.
func tagged(dst []byte, rec *Record, text []byte) []byte {
	tag := tag(rec)
	for line := range bytes.Lines(text) {
		dst = append(append(dst, tag...), line...)
	}
	return dst
}

// A jsonRecord is the object of an item. Unknown values are null. The object of a function lacks
// the fields of commands.
type jsonRecord struct {
	Seq      int64    `json:"seq"`
	Input    any      `json:"input"`
	Output   any      `json:"output"`
	Error    *string  `json:"error"`
	Attempts *int     `json:"attempts"`
	Worker   *string  `json:"worker"`
	Seconds  *float64 `json:"seconds"`

	Stderr  any    `json:"stderr,omitempty"`
	Exit    *int   `json:"exit,omitempty"`
	Signal  *int   `json:"signal,omitempty"`
	Command string `json:"command,omitempty"`
}

func (s *Style) appendJSON(dst []byte, rec *Record) []byte {
	o := jsonRecord{Seq: rec.Number, Input: s.input(rec), Output: asText(rec.Output)}
	if s.OutJSON {
		o.Output = asJSON(rec.Output)
	}
	if rec.Failed {
		o.Error = &rec.Why
	}
	if rec.Failed && !s.Jobs {
		o.Output = nil
	}
	if rec.Attempts > 0 {
		o.Attempts = &rec.Attempts
	}
	if rec.Worker != "" {
		o.Worker = &rec.Worker
	}
	if s.Jobs {
		seconds := rec.Took.Seconds()
		o.Seconds, o.Exit, o.Signal, o.Command = &seconds, &rec.Exit, &rec.Signal, strings.ToValidUTF8(rec.Command, "\uFFFD")
		o.Stderr = asText(rec.Stderr)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil { // no value of o can fail
		return dst
	}
	return append(dst, text.Bytes()...)
}

// input returns the value of a record, a list of several values, or an object of named values.
func (s *Style) input(rec *Record) any {
	if len(s.Names) > 0 {
		row := make(map[string]any, len(rec.Args))
		for i, arg := range rec.Args[:min(len(rec.Args), len(s.Names))] {
			row[s.Names[i]] = asText([]byte(arg))
		}
		return row
	}
	encode := asText
	if s.InJSON {
		encode = asJSON
	}
	if len(rec.Args) == 1 {
		return encode([]byte(rec.Args[0]))
	}
	list := make([]any, len(rec.Args))
	for i, arg := range rec.Args {
		list[i] = encode([]byte(arg))
	}
	return list
}

// asJSON returns a value that is valid JSON as it is, and any other one like asText.
func asJSON(value []byte) any {
	if json.Valid(value) {
		return json.RawMessage(value)
	}
	return asText(value)
}

// asText returns a value as a string. Bytes that are not UTF-8 are an object with their base64.
func asText(value []byte) any {
	if utf8.Valid(value) {
		return string(value)
	}
	return map[string][]byte{"base64": value}
}
