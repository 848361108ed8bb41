package jobs

import (
	"context"
	"sync"
)

// maxKept is how many bytes of values a Ledger keeps before Add waits.
const maxKept = 32 << 20

// A Ledger keeps the jobs whose results have not come, for an output that shows values beside results.
type Ledger struct {
	mu    sync.Mutex
	room  sync.Cond
	jobs  map[int64]Job
	bytes int
	ended bool
}

// NewLedger returns a Ledger that Add no longer waits for once ctx has ended.
func NewLedger(ctx context.Context) *Ledger {
	l := &Ledger{jobs: make(map[int64]Job)}
	l.room.L = &l.mu
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
		l.room.Broadcast()
	})
	return l
}

// Add keeps a job under a key. It waits while the Ledger is full.
func (l *Ledger) Add(key int64, job Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes >= maxKept && !l.ended {
		l.room.Wait()
	}
	l.jobs[key] = job
	l.bytes += job.size()
}

// Take returns the job of a key and forgets it.
func (l *Ledger) Take(key int64) Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	job := l.jobs[key]
	delete(l.jobs, key)
	l.bytes -= job.size()
	l.room.Signal()
	return job
}

func (j Job) size() (n int) {
	for _, arg := range j.Args {
		n += len(arg)
	}
	return n
}
