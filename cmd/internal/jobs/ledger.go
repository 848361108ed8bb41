package jobs

import (
	"context"
	"sync"
)

// maxKept is the number of bytes of values at which a Ledger is full.
const maxKept = 32 << 20

// A Ledger keeps the jobs without a result, for an output with the values beside the results.
type Ledger struct {
	mu    sync.Mutex
	space sync.Cond // the Ledger is not full
	jobs  map[int64]Job
	bytes int
	ended bool
}

// NewLedger returns an empty Ledger. After the end of ctx, Add does not wait.
func NewLedger(ctx context.Context) *Ledger {
	l := &Ledger{jobs: make(map[int64]Job)}
	l.space.L = &l.mu
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
		l.space.Broadcast()
	})
	return l
}

// Add keeps a job under a key. It waits while the Ledger is full.
func (l *Ledger) Add(key int64, job Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes >= maxKept && !l.ended {
		l.space.Wait()
	}
	l.jobs[key] = job
	l.bytes += job.size()
}

// Take removes and returns the job of a key.
func (l *Ledger) Take(key int64) Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	job := l.jobs[key]
	delete(l.jobs, key)
	l.bytes -= job.size()
	l.space.Signal()
	return job
}

func (j Job) size() (n int) {
	for _, arg := range j.Args {
		n += len(arg)
	}
	return n
}
