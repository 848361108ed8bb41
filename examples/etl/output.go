package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/dqbridge/dqbridge/bridge"
)

// A line is a line of the output, for one row of the input.
type line struct {
	Row     int64    `json:"row"`
	Element *Element `json:"element,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// An output is a file that has one line for each row.
type output struct {
	file interface {
		io.WriteCloser
		Truncate(size int64) error
		Sync() error
	}
	size    int64          // of its whole lines
	written map[int64]bool // the rows that it has
}

// openOutput opens an output, cuts off a line that a crash has left incomplete, and reads which rows it has.
func openOutput(name string) (*output, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	out := &output{file: file, written: map[int64]bool{}}
	for reader := bufio.NewReader(file); ; {
		text, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, file.Truncate(out.size)
		}
		var l line
		if err := errors.Join(err, json.Unmarshal(text, &l)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		out.size += int64(len(text))
		out.written[l.Row] = true
	}
}

// write appends the line of a result and returns when it is on the disk. A row that has a line gets no other one.
func (o *output) write(r bridge.Result[Element]) error {
	if o.written[r.Offset()] {
		return nil
	}
	l := line{Row: r.Offset(), Element: &r.Value}
	if r.Err != nil {
		l = line{Row: r.Offset(), Error: r.Err.Error()}
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(l); err != nil {
		return err
	}
	_, err := o.file.Write(text.Bytes())
	if err == nil {
		err = o.file.Sync()
	}
	if err != nil {
		return errors.Join(err, o.file.Truncate(o.size)) // half of a line may be there
	}
	o.size += int64(text.Len())
	o.written[r.Offset()] = true
	return nil
}

// Close closes the file.
func (o *output) Close() error { return o.file.Close() }
