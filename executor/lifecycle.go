package executor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// A lifecycle is the work that goes on for callers, so that Close can end it and wait.
type lifecycle struct {
	group sync.WaitGroup

	mu     sync.Mutex
	closed bool
	cancel map[*context.CancelCauseFunc]struct{}
	feeds  map[*feeding]struct{}
}

// A feeding is the state of one scatter, which its queue's Done and Err and Flush
// share.
type feeding struct {
	done chan struct{} // closed when the scatter has ended
	err  error         // why it failed; it is written before done is closed
}

// enter begins something that Close waits for, unless it is closed. Its end is
// group.Done.
func (t *lifecycle) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.group.Add(1)
	return true
}

// bind returns a context that ends with ctx and with Close; release it.
func (t *lifecycle) bind(ctx context.Context) (bound context.Context, release func(), err error) {
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

// feed registers a scatter that begins; fed is called when it has ended.
func (t *lifecycle) feed() *feeding {
	f := &feeding{done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.feeds == nil {
		t.feeds = map[*feeding]struct{}{}
	}
	t.feeds[f] = struct{}{}
	return f
}

// alone lets Flush not wait for a scatter.
func (t *lifecycle) alone(f *feeding) {
	t.mu.Lock()
	delete(t.feeds, f)
	t.mu.Unlock()
}

func (t *lifecycle) fed(f *feeding, err error) {
	t.alone(f)
	f.err = err
	close(f.done)
}

// underWay returns the scatters that have not ended.
func (t *lifecycle) underWay() []*feeding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.feeds))
}

// close ends everything and waits for it; false if that was done before.
func (t *lifecycle) close() bool {
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
func (t *lifecycle) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Flush waits until the scatters that are under way now have ended: the channel of each
// was closed, and its items and its end are stored in Redis. It returns the errors of
// those that failed, joined. If ctx ends first, it returns the cause of that as well.
//
// A scatter that has ended before the call is not part of it, whether it failed or not:
// Queue.Err returns the error of one scatter at any time. ErrClosed: the Executor was
// closed. Flush does not wait for a bridge.Producer, which has a Flush of its own.
func (ex *Executor) Flush(ctx context.Context) (err error) {
	ctx, end, err := ex.begin(ctx, "flush")
	if err != nil {
		return err
	}
	defer end(&err)
	waiting := ex.tasks.underWay()
	for _, seat := range ex.seats.all() {
		waiting = append(waiting, seat.tasks.underWay()...)
	}
	var failed error
	for i, f := range waiting {
		select {
		case <-f.done:
			failed = errors.Join(failed, f.err)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), failed, failures(waiting[i:]))
		}
	}
	return failed
}

// failures returns the errors of those scatters that have ended.
func failures(feeds []*feeding) (failed error) {
	for _, f := range feeds {
		select {
		case <-f.done:
			failed = errors.Join(failed, f.err)
		default:
		}
	}
	return failed
}
