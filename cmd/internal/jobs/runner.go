package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/command"
)

// Settings are the settings of a Runner.
type Settings struct {
	Commands *command.Set
	Line     *command.Line
	Timeout  time.Duration // of an attempt; 0: none
	Retries  int           // further attempts for a failed job
	Delay    time.Duration // between two starts
	Breaker  *Breaker
}

// A Runner runs jobs.
type Runner struct {
	Settings

	mu      sync.Mutex
	next    time.Time                         // the earliest start of the next job
	cancels map[int64]context.CancelCauseFunc // of the running jobs, by number
}

// NewRunner returns a Runner.
func NewRunner(s Settings) *Runner {
	return &Runner{Settings: s, cancels: make(map[int64]context.CancelCauseFunc)}
}

// errHalted is the cause of the contexts of jobs that a halt kills.
var errHalted = errors.New("the run was halted")

// errTimeout is the cause of the context of an attempt that exceeds Timeout.
var errTimeout = errors.New("timeout")

// Call runs an encoded Job and returns the encoded Outcome. A command that fails is no error. If
// ctx ends, the error is its cause.
func (r *Runner) Call(ctx context.Context, item []byte) ([]byte, error) {
	job, err := DecodeJob(item)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !r.begin(own, job.Number, cancel) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return (&Outcome{Skipped: true}).Encode(), nil
	}
	defer r.finish(job.Number)
	out, err := r.attempts(own, job)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !out.Skipped {
		r.ended(out)
	}
	return out.Encode(), nil
}

// begin waits for the start of a job. It returns false if the job must not start.
func (r *Runner) begin(ctx context.Context, number int64, cancel context.CancelCauseFunc) bool {
	if !r.wait(ctx) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Breaker.IsHalted() {
		return false
	}
	r.cancels[number] = cancel
	return true
}

func (r *Runner) finish(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.cancels, number)
}

// wait waits until Delay has passed since the start of the job before. It returns false after a
// halt and after the end of ctx.
func (r *Runner) wait(ctx context.Context) bool {
	if r.Delay <= 0 {
		return ctx.Err() == nil
	}
	r.mu.Lock()
	now := time.Now()
	start := r.next
	if start.Before(now) {
		start = now
	}
	r.next = start.Add(r.Delay)
	r.mu.Unlock()
	timer := time.NewTimer(time.Until(start))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Breaker.Halted():
	case <-ctx.Done():
	}
	return false
}

// attempts runs a job until it succeeds or all attempts have failed.
func (r *Runner) attempts(ctx context.Context, job Job) (*Outcome, error) {
	for n := 1; ; n++ {
		out, err := r.attempt(ctx, job)
		if err != nil {
			return nil, err
		}
		out.Attempts = n
		if ctx.Err() != nil || !out.Failed() || n > r.Retries {
			return out, nil
		}
	}
}

func (r *Runner) attempt(ctx context.Context, job Job) (*Outcome, error) {
	line, release, err := r.Line.Expand(job.Args, job.Number)
	if err != nil {
		return &Outcome{Exit: StatusOther, Why: err.Error(), Start: time.Now()}, nil
	}
	defer release()
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Timeout, errTimeout)
		defer cancel()
	}
	out := &Outcome{Command: line, Start: time.Now()}
	run, err := r.Commands.Shell(ctx, line)
	out.Took = time.Since(out.Start)
	out.Exit, out.Signal, out.Stdout, out.Stderr = run.Exit, run.Signal, run.Stdout, run.Stderr
	switch {
	case errors.Is(err, errTimeout):
		out.Exit, out.Signal, out.Why = -1, 15, "timeout after "+r.Timeout.String()
	case errors.Is(err, errHalted):
		out.Skipped = true
	case err != nil && ctx.Err() != nil: // Call returns its cause
	case errors.Is(err, command.ErrTooLarge):
		out.Exit, out.Why = -1, err.Error()
	case err != nil:
		return nil, err
	}
	return out, nil
}

// ended counts a job. If this halts the run at once, it kills the other jobs.
func (r *Runner) ended(out *Outcome) {
	if !r.Breaker.Ended(End{Failed: out.Failed(), Exit: out.Exit, Signal: out.Signal}) || !r.Breaker.Halt.Now {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.cancels {
		cancel(errHalted)
	}
}
