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

// A Record is an item and its outcome.
type Record = jobs.Record

// Records makes records of results, in the order of the output. A record is valid until the next
// call of Next. An error of a result that is no item's error is returned.
type Records interface {
	Next(r Result) (*Record, error)
}

// FunctionRecords makes records of items that functions have processed.
type FunctionRecords struct {
	// Single says that all results are from one source, so that their offsets number the items.
	Single bool
	// Ledger has the jobs by the positions of the items in the source; nil: not needed.
	Ledger *jobs.Ledger
	// Recent has the latest lines of the input, for the text of a failure; nil: unknown.
	Recent *Recent
	// Attempts is the number of attempts of an item with a value; 0: unknown.
	Attempts int
	// Functions has the names of the functions, for the Command of a record with values.
	Functions string

	rec Record
}

// Next returns the record of a result. Without Single, the record has no number.
func (f *FunctionRecords) Next(r Result) (*Record, error) {
	f.rec = Record{Output: r.Value, Attempts: f.Attempts, Function: true}
	if f.Single {
		f.rec.Number = r.Offset() + 1
	}
	if f.Ledger != nil {
		f.rec.SetJob(f.Ledger.Take(f.rec.Number))
		f.rec.Start = time.Now()
		f.rec.Command = f.Functions + " " + command.Quote(strings.Join(f.rec.Args, " "))
	}
	if r.Err == nil {
		return &f.rec, nil
	}
	if err := setFailure(&f.rec, r.Err); err != nil {
		return &f.rec, err
	}
	if f.Recent != nil && f.rec.Args == nil {
		setLine(&f.rec, f.Recent.line(r.Offset()))
	}
	return &f.rec, nil
}

// setFailure sets the failure of an item in rec. It returns an error that is no item's error.
func setFailure(rec *Record, err error) error {
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

// setLine sets the line of rec. A nil line is unknown.
func setLine(rec *Record, line []byte) {
	if line != nil {
		rec.Args = []string{string(line)}
		rec.Lines = rec.Args
	}
}

// JobRecords makes records of the jobs of a command, which are from one source.
type JobRecords struct {
	// Ledger has the jobs by the positions of the items in the source.
	Ledger *jobs.Ledger
	// Worker is the name of this process.
	Worker string
	// Line makes the command line of a job that could not be run.
	Line *command.Line

	rec Record
}

// setNotRun sets the record of a job that could not run. The record has the command line, for a
// retry.
func (j *JobRecords) setNotRun(err error) error {
	if err := setFailure(&j.rec, err); err != nil {
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
	j.rec.SetJob(j.Ledger.Take(r.Offset() + 1))
	if r.Err != nil {
		return &j.rec, j.setNotRun(r.Err)
	}
	if j.rec.Failed {
		j.rec.Why = Printable(out.Reason())
	}
	return &j.rec, nil
}
