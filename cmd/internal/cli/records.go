package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/executor"
)

// A Record is an item and what became of it.
type Record = jobs.Record

// Records makes records of results, which come in the order of the output. A record is valid until the next one.
// An error that is not that of an item is returned.
type Records interface {
	Next(r Result) (*Record, error)
}

// FunctionRecords are those of items that functions of the fleet process.
type FunctionRecords struct {
	// Single says that the results are those of one source: their offsets number the items.
	Single bool
	// Ledger has the jobs by the places of the items in the source; nil: they are not needed.
	Ledger *jobs.Ledger
	// Recent are the last lines of the input, for the text of a failure; nil: they are not known.
	Recent *Recent
	// Attempts is how often a function was tried that has a value, 0 if that is not known.
	Attempts int
	// Functions are their names, for the Command of a record that has values.
	Functions string

	rec Record
}

// Next returns the record of a result. It has no number if the results are not those of one source.
func (f *FunctionRecords) Next(r Result) (*Record, error) {
	f.rec = Record{Output: r.Value, Attempts: f.Attempts, Function: true}
	if f.Single {
		f.rec.Number = r.Offset() + 1
	}
	if f.Ledger != nil {
		f.rec.Of(f.Ledger.Take(f.rec.Number))
		f.rec.Start = time.Now()
		f.rec.Command = f.Functions + " " + command.Quote(strings.Join(f.rec.Args, " "))
	}
	if r.Err == nil {
		return &f.rec, nil
	}
	if err := fail(&f.rec, r.Err); err != nil {
		return &f.rec, err
	}
	if f.Recent != nil && f.rec.Args == nil {
		setLine(&f.rec, f.Recent.line(r.Offset()))
	}
	return &f.rec, nil
}

// fail makes rec that of a failed item. An error that is not that of an item is returned.
func fail(rec *Record, err error) error {
	var item *executor.ItemError
	if !bridge.IsItemError(err) || !errors.As(err, &item) {
		return err
	}
	rec.Failed, rec.Why, rec.Attempts, rec.Worker = true, describe(item), item.Attempts, item.Worker
	if rec.Args == nil {
		setLine(rec, item.Input)
	}
	return nil
}

// setLine makes rec that of a line, nil if that is not known.
func setLine(rec *Record, line []byte) {
	if line != nil {
		rec.Args = []string{string(line)}
		rec.Lines = rec.Args
	}
}

// JobRecords are those of the jobs of a command, which are one source.
type JobRecords struct {
	// Ledger has the jobs by the places of the items in the source.
	Ledger *jobs.Ledger
	// Worker is the name of this process.
	Worker string
	// Line makes the command line of a job that could not be run.
	Line *command.Line

	rec Record
}

// notRun makes the record that of a job that could not be run, with its command line, so that it can be retried.
func (j *JobRecords) notRun(err error) error {
	if err := fail(&j.rec, err); err != nil {
		return err
	}
	j.rec.Start = time.Now()
	if line, release, err := j.Line.Expand(j.rec.Args, j.rec.Number); err == nil {
		j.rec.Command = line
		release()
	}
	return nil
}

// Next returns the record of a result, which is an encoded Outcome.
func (j *JobRecords) Next(r Result) (*Record, error) {
	j.rec = Record{Worker: j.Worker}
	out := &jobs.Outcome{Exit: jobs.StatusOther}
	if r.Err == nil {
		var err error
		if out, err = jobs.DecodeOutcome(r.Value); err != nil {
			return nil, err
		}
	}
	j.rec = Record{
		Output: out.Stdout, Failed: out.Failed(), Skipped: out.Skipped, Attempts: out.Attempts, Worker: j.Worker,
		Command: out.Command, Stderr: out.Stderr, Exit: out.Exit, Signal: out.Signal, Start: out.Start, Took: out.Took,
	}
	j.rec.Of(j.Ledger.Take(r.Offset() + 1))
	if r.Err != nil {
		return &j.rec, j.notRun(r.Err)
	}
	if j.rec.Failed {
		j.rec.Why = Printable(out.Reason())
	}
	return &j.rec, nil
}
