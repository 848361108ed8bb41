package executor

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
)

// tasks are what goes on for callers, so that Close can end it and wait.
type tasks struct {
	group sync.WaitGroup

	mu     sync.Mutex
	closed bool
	cancel map[*context.CancelCauseFunc]struct{}
	feeds  map[chan struct{}]struct{} // closed when a scatter has ended
	failed error                      // the first error of a scatter
	broken chan struct{}              // closed when there is one
}

// enter begins something that Close waits for, unless it is closed. Its end is
// group.Done.
func (t *tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.group.Add(1)
	return true
}

// bind returns a context that ends with ctx and with Close; release it.
func (t *tasks) bind(ctx context.Context) (bound context.Context, release func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, ErrClosed
	}
	bound, cancel := context.WithCancelCause(ctx)
	if t.cancel == nil {
		t.cancel = map[*context.CancelCauseFunc]struct{}{}
	}
	t.cancel[&cancel] = struct{}{}
	t.group.Add(1)
	return bound, func() {
		cancel(nil)
		t.mu.Lock()
		delete(t.cancel, &cancel)
		t.mu.Unlock()
		t.group.Done()
	}, nil
}

// feed notes a scatter; call what it returns with how it ended.
func (t *tasks) feed() (ended func(error)) {
	done := make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.feeds == nil {
		t.feeds, t.broken = map[chan struct{}]struct{}{}, make(chan struct{})
	}
	t.feeds[done] = struct{}{}
	return func(err error) {
		t.mu.Lock()
		if t.failed == nil && err != nil {
			t.failed = err
			close(t.broken)
		}
		delete(t.feeds, done)
		t.mu.Unlock()
		close(done)
	}
}

// drain waits until the scatters that go on have ended.
func (t *tasks) drain(ctx context.Context) error {
	for {
		var next chan struct{}
		t.mu.Lock()
		for done := range t.feeds {
			next = done
			break
		}
		failed, broken := t.failed, t.broken
		t.mu.Unlock()
		if next == nil || failed != nil {
			return failed
		}
		select {
		case <-next:
		case <-broken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close ends everything and waits for it; false if that was done before.
func (t *tasks) close() bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	t.closed = true
	for cancel := range t.cancel {
		(*cancel)(ErrClosed)
	}
	t.mu.Unlock()
	t.group.Wait()
	return true
}

// over reports whether close was called.
func (t *tasks) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Drain waits until every scatter of this Executor has ended: its channel was
// closed, and all that came from it and its end are stored in Redis. As soon as one
// has failed, it returns that error.
func (ex *Executor) Drain(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ex.tasks.drain(ctx) })
	for _, seat := range ex.seats.all() {
		group.Go(func() error { return seat.tasks.drain(ctx) })
	}
	err := group.Wait()
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	return err
}
