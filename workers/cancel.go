package workers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// errCanceled is why the context of a function ended whose future has a result:
// somebody canceled it.
var errCanceled = errors.New("the future was canceled")

// A flight is the item of a future that a hand runs now.
type flight struct {
	source string
	first  int64

	mu     sync.Mutex
	offset int64
	cancel context.CancelCauseFunc
}

// item returns a context for the i-th item of the batch, which ends the one of
// the item before.
func (f *flight) item(ctx context.Context, i int) context.Context {
	own, cancel := context.WithCancelCause(ctx)
	f.mu.Lock()
	last := f.cancel
	f.offset, f.cancel = f.first+int64(i), cancel
	f.mu.Unlock()
	if last != nil {
		last(nil)
	}
	return own
}

// running names the result of the item; stop ends its context, and only its.
func (f *flight) running() (id string, stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel == nil {
		return "", nil
	}
	cancel := f.cancel
	return broker.FutureID(f.source, f.offset), func() { cancel(errCanceled) }
}

func (f *flight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel != nil {
		f.cancel(nil)
		f.cancel = nil
	}
}

// flights are those of all hands.
type flights struct {
	mu  sync.Mutex
	all map[*flight]bool
}

// begin makes a flight of a batch whose results are futures.
func (fs *flights) begin(b batch.Batch) *flight {
	f := &flight{source: b.Source, first: b.First}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.all == nil {
		fs.all = map[*flight]bool{}
	}
	fs.all[f] = true
	return f
}

func (fs *flights) end(f *flight) {
	f.end()
	fs.mu.Lock()
	delete(fs.all, f)
	fs.mu.Unlock()
}

// cancelStale calls canceled once a heartbeat until ctx ends: a hint may be lost.
func (l *life) cancelStale(ctx context.Context) {
	tick := time.NewTicker(l.lease / broker.Beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.canceled(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "canceled futures cannot be read", "err", err)
		}
	}
}

// canceled stops the functions whose futures have a result already.
func (l *life) canceled(ctx context.Context) error {
	var ids []string
	var stops []func()
	l.flights.mu.Lock()
	for f := range l.flights.all {
		if id, stop := f.running(); stop != nil {
			ids, stops = append(ids, id), append(stops, stop)
		}
	}
	l.flights.mu.Unlock()
	if ids == nil {
		return nil
	}
	settled, err := l.client.Settled(ctx, ids)
	for i, done := range settled {
		if done {
			stops[i]()
		}
	}
	return err
}
