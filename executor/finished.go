package executor

import (
	"context"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// finished are the scatters that have ended. A failover may lose the end that
// was stored last, and its gather would wait for ever: each is told once more, a
// lease later.
type finished struct {
	mu   sync.Mutex
	ends []end
}

type end struct {
	broker.End
	since time.Time
}

func (f *finished) add(source broker.Source, at int64) {
	f.mu.Lock()
	f.ends = append(f.ends, end{broker.End{Source: source, At: at}, time.Now()})
	f.mu.Unlock()
}

// confirmations is how many ends one round trip stores again.
const confirmations = 100

// due returns the first of those that were stored before a time.
func (f *finished) due(before time.Time) (due []broker.End) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.ends[:min(len(f.ends), confirmations)] {
		if !e.since.Before(before) {
			break
		}
		due = append(due, e.End)
	}
	return due
}

// confirmed forgets the first n.
func (f *finished) confirmed(n int) {
	f.mu.Lock()
	if f.ends = f.ends[n:]; len(f.ends) == 0 {
		f.ends = nil
	}
	f.mu.Unlock()
}

// confirm stores the ends of scatters again. They are forgotten when that is done.
func (ex *Executor) confirm(ctx context.Context) error {
	for due := ex.ends.due(time.Now().Add(-ex.lease)); len(due) > 0; due = ex.ends.due(time.Now().Add(-ex.lease)) {
		if err := ex.c.FinishAgain(ctx, due); err != nil {
			return err
		}
		ex.ends.confirmed(len(due))
	}
	return nil
}

// Finished notes an end that is stored once more, a lease later.
func (f *feedKeeper) Finished(at int64) { f.ex.ends.add(f.sender.Source(), at) }
