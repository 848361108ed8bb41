package executor

import (
	"context"
	"errors"
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
	source broker.Source
	at     int64
	since  time.Time
}

func (f *finished) add(source broker.Source, at int64) {
	f.mu.Lock()
	f.ends = append(f.ends, end{source, at, time.Now()})
	f.mu.Unlock()
}

// due takes those out that were stored before a time.
func (f *finished) due(before time.Time) (due []end) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.ends) > 0 && f.ends[0].since.Before(before) {
		due, f.ends = append(due, f.ends[0]), f.ends[1:]
	}
	return due
}

// confirm stores the ends of scatters again. A queue that is gone has been
// delivered.
func (ex *Executor) confirm(ctx context.Context) error {
	for _, e := range ex.ends.due(time.Now().Add(-ex.lease)) {
		err := ex.c.Finish(ctx, e.source, e.at)
		if err != nil && !errors.Is(err, ErrNoQueue) && !errors.Is(err, ErrFenced) {
			return err
		}
	}
	return nil
}

// Finish ends the source of a feed.
func (f *Feed) Finish(ctx context.Context, at int64) error {
	err := f.Sender.Finish(ctx, at)
	if err == nil {
		f.ex.ends.add(f.Source(), at)
	}
	return err
}
