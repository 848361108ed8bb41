package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/command"
	"github.com/dqbridge/dqbridge/internal/jobs"
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
	// Ledger has the values by the place of their results; nil: they are not needed.
	Ledger *jobs.Ledger
	// Attempts is how often a function was tried that has a value, 0 if that is not known.
	Attempts int
	// Functions are their names, for the Command of a record that has values.
	Functions string
	// Unordered says that the numbers of items are not known.
	Unordered bool

	count int64
	rec   Record
}

// Next returns the record of a result.
func (f *FunctionRecords) Next(r Result) (*Record, error) {
	f.count++
	f.rec = Record{Number: f.count, Output: r.Value, Attempts: f.Attempts, Function: true}
	switch {
	case f.Unordered:
		f.rec.Number = 0
	case f.Ledger != nil:
		job := f.Ledger.Take(f.count)
		f.rec.Number, f.rec.Args, f.rec.Lines, f.rec.Start = job.Number, job.Args, job.Lines, time.Now()
		f.rec.Command = f.Functions + " " + command.Quote(strings.Join(job.Args, " "))
	}
	if r.Err == nil {
		return &f.rec, nil
	}
	return &f.rec, fail(&f.rec, r.Err)
}

// fail makes rec that of a failed item. An error that is not that of an item is returned.
func fail(rec *Record, err error) error {
	var item *executor.ItemError
	if !errors.As(err, &item) {
		return err
	}
	rec.Failed, rec.Why, rec.Attempts, rec.Worker = true, describe(item), item.Attempts, item.Worker
	return nil
}

// JobRecords are those of the jobs of a command.
type JobRecords struct {
	// Ledger has the jobs, by their numbers if Unordered and otherwise by the place of their results; nil: they are
	// not needed.
	Ledger    *jobs.Ledger
	Unordered bool
	// Worker is the name of this process.
	Worker string

	count int64
	rec   Record
}

// Next returns the record of a result, which is an encoded Outcome.
func (j *JobRecords) Next(r Result) (*Record, error) {
	j.count++
	j.rec = Record{Number: j.count, Worker: j.Worker}
	if r.Err != nil {
		j.rec.Exit = 255
		if j.Unordered {
			j.rec.Number = 0
		}
		j.values()
		return &j.rec, fail(&j.rec, r.Err)
	}
	out, err := jobs.DecodeOutcome(r.Value)
	if err != nil {
		return nil, err
	}
	j.rec = Record{
		Number: out.Number, Output: out.Stdout, Failed: out.Failed(), Skipped: out.Skipped, Attempts: out.Attempts, Worker: j.Worker,
		Command: out.Command, Stderr: out.Stderr, Exit: out.Exit, Signal: out.Signal, Start: out.Start, Took: out.Took,
	}
	if j.rec.Failed {
		j.rec.Why = Printable(out.Reason())
	}
	j.values()
	return &j.rec, nil
}

// values adds what the Ledger has of a job.
func (j *JobRecords) values() {
	switch {
	case j.Ledger == nil:
	case j.Unordered:
		job := j.Ledger.Take(j.rec.Number)
		j.rec.Args, j.rec.Lines = job.Args, job.Lines
	default:
		job := j.Ledger.Take(j.count)
		j.rec.Number, j.rec.Args, j.rec.Lines = job.Number, job.Args, job.Lines
	}
}
