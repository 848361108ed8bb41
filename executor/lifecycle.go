package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A lifecycle is the calls and scatters of an Executor or Inspector. Close ends them and waits for
// them.
type lifecycle struct {
	group sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	cancel   map[*context.CancelCauseFunc]struct{}
	scatters map[*scatterState]struct{} // those that have not ended
}

// A scatterState is the state of one scatter. Flush and the Done and Err of its queue read it.
type scatterState struct {
	done chan struct{} // closed when the scatter has ended
	err  error         // why it failed; written before done is closed
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

// addScatter registers a scatter that begins; endScatter is called when it has ended.
func (t *lifecycle) addScatter() *scatterState {
	s := &scatterState{done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.scatters == nil {
		t.scatters = map[*scatterState]struct{}{}
	}
	t.scatters[s] = struct{}{}
	return s
}

// excludeFromFlush lets Flush ignore a scatter.
func (t *lifecycle) excludeFromFlush(s *scatterState) {
	t.mu.Lock()
	delete(t.scatters, s)
	t.mu.Unlock()
}

// endScatter notes how a scatter has ended.
func (t *lifecycle) endScatter(s *scatterState, err error) {
	t.excludeFromFlush(s)
	s.err = err
	close(s.done)
}

// runningScatters returns the scatters that have not ended.
func (t *lifecycle) runningScatters() []*scatterState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.scatters))
}

// close ends all of them and waits. It returns false if it was called before.
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

// isClosed reports whether close was called.
func (t *lifecycle) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Errors of arguments that an exported call cannot use.
var (
	errNoExecutor = errors.New("the Executor is nil or a zero value: make it with executor.New")
	errNoQueue    = errors.New("the Queue is nil or a zero value: bridge.Scatter, executor.Map and executor.Open return one")
	errNoFuture   = errors.New("the Future is nil or a zero value: executor.Submit and executor.MapSlice return one")
	errNoContext  = errors.New("the context is nil: pass that of the caller, or context.Background()")
	errNoOption   = errors.New("an option is nil")
)

// begin starts an exported call, which its errors name unless the name is empty. It returns a
// context that ends with ctx and with Close. Defer end with the address of the call's error: end
// sets the error to ErrClosed if Close has ended the call, and Close waits for end.
func (t *lifecycle) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if ctx == nil {
		return nil, nil, named(call, errNoContext)
	}
	bound, release, err := t.bind(ctx)
	if err != nil {
		return nil, nil, named(call, err)
	}
	return bound, func(failed *error) {
		if *failed != nil && errors.Is(context.Cause(bound), ErrClosed) && !errors.Is(*failed, ErrClosed) {
			*failed = named(call, ErrClosed)
		}
		release()
	}, nil
}

func (ex *Executor) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if err := ex.check(call); err != nil {
		return nil, nil, err
	}
	return ex.tasks.begin(ctx, call)
}

// check returns an error if New has not made the Executor.
func (ex *Executor) check(call string) error {
	if ex == nil || ex.home == nil {
		return named(call, errNoExecutor)
	}
	return nil
}

func (q *Queue[T]) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if err := q.check(call); err != nil {
		return nil, nil, err
	}
	bound, done, err := q.part.ex.tasks.begin(ctx, call)
	return bound, func(err *error) {
		*err = q.part.c.Lost(bound, q.q, *err)
		done(err)
	}, err
}

// check returns an error if the queue is not one that a call of this module has returned.
func (q *Queue[T]) check(call string) error {
	if q == nil || q.part == nil {
		return named(call, errNoQueue)
	}
	return nil
}

func named(call string, err error) error {
	if call == "" {
		return err
	}
	return fmt.Errorf("%s: %w", call, err)
}

// Flush waits until the scatters that are under way now have ended: the input of each was closed,
// and its items and its end are stored in Redis. It returns the errors of the scatters that failed,
// joined. If ctx ends first, the error has the cause of that as well. ErrClosed: the Executor was
// closed.
//
// Flush ignores scatters that have ended before the call; Queue.Err returns the error of one
// scatter at any time. It also ignores a bridge.Producer, which has a Flush of its own.
func (ex *Executor) Flush(ctx context.Context) (err error) {
	ctx, end, err := ex.begin(ctx, "flush")
	if err != nil {
		return err
	}
	defer end(&err)
	waiting := ex.tasks.runningScatters()
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

// failures returns the errors of the scatters that have ended, joined.
func failures(scatters []*scatterState) (failed error) {
	for _, f := range scatters {
		select {
		case <-f.done:
			failed = errors.Join(failed, f.err)
		default:
		}
	}
	return failed
}
