// Package jobs runs one command for each item of `dqbridge run`, as GNU parallel does. It has the
// jobs, their runner, the early end of a run, and the files of a run.
package jobs

import (
	"encoding/binary"
	"errors"
	"strconv"
	"syscall"
	"time"
)

// A Job is one call of a command: its number in the input, from 1, its values, and its lines of the
// input.
type Job struct {
	Number int64
	Args   []string
	Lines  []string
}

// An Outcome is the result of a Job.
type Outcome struct {
	Command      string // the command line that ran
	Exit, Signal int    // Exit is -1 after a timeout
	Start        time.Time
	Took         time.Duration // of the last attempt
	Attempts     int
	Skipped      bool   // the run was halted before the job ended
	Why          string // the reason for an early end; empty: the command ran to its end
	Stdout       []byte
	Stderr       []byte
}

// Failed reports whether the job counts as failed.
func (o *Outcome) Failed() bool { return o.Exit != 0 || o.Signal != 0 || o.Why != "" }

// A Record is an item and its outcome.
type Record struct {
	Number   int64 // position in the input, from 1
	Args     []string
	Lines    []string // of the input
	Output   []byte
	Failed   bool
	Skipped  bool   // not processed, since the run was halted
	Why      string // why it failed, in one line
	Attempts int    // 0: unknown
	Worker   string // empty: unknown
	Function bool   // processed by functions, not by a command

	Start   time.Time // start of a command; for a function, the arrival of its result
	Command string    // the command line, or the functions with the item

	// Of a command:
	Stderr       []byte
	Exit, Signal int
	Took         time.Duration
}

// SetJob sets the number, the values and the lines of rec.
func (rec *Record) SetJob(job Job) { rec.Number, rec.Args, rec.Lines = job.Number, job.Args, job.Lines }

// Encode returns the job as an item, without its Lines.
func (j Job) Encode() []byte {
	b := binary.AppendVarint(nil, j.Number)
	for _, arg := range j.Args {
		b = appendText(b, arg)
	}
	return b
}

// DecodeJob decodes the result of Job.Encode.
func DecodeJob(item []byte) (Job, error) {
	d := decoder{rest: item}
	j := Job{Number: d.number()}
	for len(d.rest) > 0 && d.err == nil {
		j.Args = append(j.Args, string(d.text()))
	}
	return j, d.err
}

// Encode returns the outcome as an item.
func (o *Outcome) Encode() []byte {
	b := make([]byte, 0, len(o.Stdout)+len(o.Stderr)+len(o.Command)+len(o.Why)+100)
	skipped := int64(0)
	if o.Skipped {
		skipped = 1
	}
	for _, n := range []int64{int64(o.Exit), int64(o.Signal), o.Start.UnixNano(), int64(o.Took), int64(o.Attempts), skipped} {
		b = binary.AppendVarint(b, n)
	}
	b = appendText(appendText(b, o.Command), o.Why)
	return appendText(appendText(b, o.Stdout), o.Stderr)
}

// DecodeOutcome decodes the result of Outcome.Encode. The outputs share the memory of item.
func DecodeOutcome(item []byte) (*Outcome, error) {
	d := decoder{rest: item}
	o := &Outcome{Exit: int(d.number()), Signal: int(d.number())}
	o.Start, o.Took = time.Unix(0, d.number()), time.Duration(d.number())
	o.Attempts, o.Skipped = int(d.number()), d.number() == 1
	o.Command, o.Why = string(d.text()), string(d.text())
	o.Stdout, o.Stderr = d.text(), d.text()
	return o, d.err
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

var errShort = errors.New("the item is no job")

// A decoder reads numbers and texts until the first incomplete one.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.err, d.rest = errShort, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) text() []byte {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size) {
		d.err, d.rest = errShort, nil
		return nil
	}
	end := size + int(n)
	text := d.rest[size:end:end]
	d.rest = d.rest[end:]
	return text
}

// Reason returns why the job failed, in one line.
func (o *Outcome) Reason() string {
	switch {
	case o.Why != "":
		return o.Why
	case o.Signal != 0:
		return "killed by signal " + strconv.Itoa(o.Signal) + " (" + syscall.Signal(o.Signal).String() + "): " + o.Command
	}
	return "exit status " + strconv.Itoa(o.Exit) + ": " + o.Command
}
