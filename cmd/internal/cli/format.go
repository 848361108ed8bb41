package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// A Style is how records become text.
type Style struct {
	End  string // behind each output
	JSON bool   // one object for each record
	Tag  bool   // the values before each line
	// InJSON and OutJSON say that the values and the outputs are JSON already.
	InJSON, OutJSON bool
	// Names are those of the values in JSON.
	Names []string
	// Quiet says that only JSON is written.
	Quiet bool
	// Jobs says that the records are those of jobs of a command.
	Jobs bool
}

// lineEnd is the byte behind which a part of the output is whole.
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

// Stderr is the text of the stderr of a record.
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

// tagged appends text to dst, each of its lines behind the tag of the record.
func tagged(dst []byte, rec *Record, text []byte) []byte {
	tag := tag(rec)
	for line := range bytes.Lines(text) {
		dst = append(append(dst, tag...), line...)
	}
	return dst
}

// A jsonRecord is the object of an item. What is not known is null; what a function has not is left out.
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
	o := jsonRecord{Seq: rec.Number, Input: s.input(rec), Output: asJSON(rec.Output, s.OutJSON)}
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
		o.Stderr = asJSON(rec.Stderr, false)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil { // no value of o can fail
		return dst
	}
	return append(dst, text.Bytes()...)
}

// input is the value of a record, a list of its values or an object of those that have names.
func (s *Style) input(rec *Record) any {
	if len(s.Names) > 0 {
		row := make(map[string]any, len(rec.Args))
		for i, arg := range rec.Args[:min(len(rec.Args), len(s.Names))] {
			row[s.Names[i]] = asJSON([]byte(arg), false)
		}
		return row
	}
	if len(rec.Args) == 1 {
		return asJSON([]byte(rec.Args[0]), s.InJSON)
	}
	list := make([]any, len(rec.Args))
	for i, arg := range rec.Args {
		list[i] = asJSON([]byte(arg), s.InJSON)
	}
	return list
}

// asJSON is a value as it is if it is JSON already, and otherwise a string. Bytes that are no text are an object with
// their base64.
func asJSON(value []byte, already bool) any {
	switch {
	case already && json.Valid(value):
		return json.RawMessage(value)
	case utf8.Valid(value):
		return string(value)
	}
	return map[string][]byte{"base64": value}
}
