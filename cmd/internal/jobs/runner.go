package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/command"
)

// Settings are how a Runner runs jobs.
type Settings struct {
	Commands *command.Set
	Line     *command.Line
	Timeout  time.Duration // of an attempt; 0: none
	Retries  int           // more attempts for a job that failed
	Delay    time.Duration // between two starts
	Breaker  *Breaker
}

// A Runner runs jobs.
type Runner struct {
	Settings

	mu   sync.Mutex
	next time.Time                         // when the next job may start
	kill map[int64]context.CancelCauseFunc // the jobs that run, by number
}

// NewRunner returns a Runner.
func NewRunner(s Settings) *Runner {
	return &Runner{Settings: s, kill: make(map[int64]context.CancelCauseFunc)}
}

// errHalted is the cause of the contexts of jobs that are killed.
var errHalted = errors.New("the run was halted")

// errTimeout is the cause of the context of an attempt that takes too long.
var errTimeout = errors.New("timeout")

// Call runs a job, an item that Job.Encode has made, and returns its Outcome as Encode makes it. A command that fails
// is no error. If ctx ends, the error is its cause.
func (r *Runner) Call(ctx context.Context, item []byte) ([]byte, error) {
	job, err := DecodeJob(item)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !r.enter(own, job.Number, cancel) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return (&Outcome{Skipped: true}).Encode(), nil
	}
	defer r.leave(job.Number)
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

// enter waits for the time when a job may start. It returns false if the job must not.
func (r *Runner) enter(ctx context.Context, number int64, cancel context.CancelCauseFunc) bool {
	if !r.wait(ctx) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Breaker.IsHalted() {
		return false
	}
	r.kill[number] = cancel
	return true
}

func (r *Runner) leave(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kill, number)
}

// wait waits for the job's turn by Delay.
func (r *Runner) wait(ctx context.Context) bool {
	if r.Delay <= 0 {
		return ctx.Err() == nil
	}
	r.mu.Lock()
	now := time.Now()
	turn := r.next
	if turn.Before(now) {
		turn = now
	}
	r.next = turn.Add(r.Delay)
	r.mu.Unlock()
	timer := time.NewTimer(time.Until(turn))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Breaker.Halted():
	case <-ctx.Done():
	}
	return false
}

// attempts runs a job until it succeeds or has had all its attempts.
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
	case err != nil && ctx.Err() != nil: // the caller returns its cause
	case errors.Is(err, command.ErrTooLarge):
		out.Exit, out.Why = -1, err.Error()
	case err != nil:
		return nil, err
	}
	return out, nil
}

// ended counts a job, and kills the others if that halts the run at once.
func (r *Runner) ended(out *Outcome) {
	if !r.Breaker.Ended(out.Failed(), out.Exit, out.Signal) || !r.Breaker.Halt.Now {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cancel := range r.kill {
		cancel(errHalted)
	}
}
