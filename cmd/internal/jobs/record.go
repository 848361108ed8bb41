package jobs

import "time"

// A Record is an item and what became of it.
type Record struct {
	Number   int64 // its place in the input, from 1
	Args     []string
	Lines    []string // of the input
	Output   []byte
	Failed   bool
	Skipped  bool   // it was not processed, since the run was halted
	Why      string // it failed, in one line
	Attempts int    // 0: not known
	Worker   string // empty: not known
	Function bool   // functions have processed it, no command

	Start   time.Time // of a command; of a function when its result came
	Command string    // the command line, or the functions with the item

	// Of a command:
	Stderr       []byte
	Exit, Signal int
	Took         time.Duration
}

// Of makes rec that of a job.
func (rec *Record) Of(job Job) { rec.Number, rec.Args, rec.Lines = job.Number, job.Args, job.Lines }
