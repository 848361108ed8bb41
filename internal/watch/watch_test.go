package watch_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A namespace counts how often it is read and marked, and may fail.
type namespace struct {
	executor.Inspector
	mu                  sync.Mutex
	reads, marks, infos int
	err                 error
	denied              error // of what a Redis user that only reads may not do
}

func (n *namespace) Snapshot(context.Context) (inspect.Snapshot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	return inspect.Snapshot{Letters: int64(n.reads)}, n.err
}

func (n *namespace) Errors(context.Context) ([]inspect.ErrorGroup, error) { return nil, nil }

func (n *namespace) Server(context.Context) (inspect.Server, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.infos++
	return inspect.Server{}, n.denied
}

func (n *namespace) MarkWatched(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.marks++
	return n.denied
}

func (n *namespace) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// counts returns the numbers of reads and marks since the last call.
func (n *namespace) counts() (reads, marks int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	reads, marks = n.reads, n.marks
	n.reads, n.marks = 0, 0
	return reads, marks
}

func TestReadsMoreOftenWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{}
		w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
		defer w.Close()
		pass := func(d time.Duration) (int, int) {
			<-time.After(d)
			synctest.Wait()
			return n.counts()
		}
		if reads, marks := pass(time.Minute); reads != 7 || marks != 0 {
			t.Errorf("nobody looks: %d reads and %d marks in a minute", reads, marks)
		}
		one, two := w.Look(), w.Look()
		if reads, marks := pass(time.Minute); reads < 30 || reads > 31 || marks != 10 {
			t.Errorf("two look: %d reads and %d marks in a minute", reads, marks)
		}
		one()
		one()
		if reads, _ := pass(time.Minute); reads < 30 {
			t.Errorf("one still looks: %d reads", reads)
		}
		two()
		pass(time.Minute)
		if reads, marks := pass(time.Minute); reads != 6 || marks != 0 {
			t.Errorf("nobody looks any more: %d reads and %d marks in a minute", reads, marks)
		}
	})
}

// What the Redis user may not do is tried again only after ten minutes: the log of Redis has each
// refusal.
func TestDeniedCallsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{denied: executor.ErrDenied}
		w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
		defer w.Close()
		defer w.Look()()
		<-time.After(25 * time.Minute)
		synctest.Wait()
		if reads, marks := n.counts(); reads < 700 || marks != 3 || n.infos != 3 {
			t.Errorf("%d reads, %d marks, %d looks at the server", reads, marks, n.infos)
		}
		if view, _ := w.Latest(); !errors.Is(view.ServerErr, executor.ErrDenied) || view.Err != nil {
			t.Errorf("the view has %v, %v", view.ServerErr, view.Err)
		}
	})
}

func TestKeepsLastViewWhileRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{}
		n.fail(executor.ErrDenied)
		w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
		defer w.Close()
		if _, err := w.First(t.Context()); !errors.Is(err, executor.ErrDenied) {
			t.Errorf("the first read: %v", err)
		}
		n.fail(nil)
		_, changed := w.Latest()
		<-changed
		view, err := w.First(t.Context())
		if err != nil || view.Err != nil {
			t.Fatalf("the second read: %v, %v", err, view.Err)
		}
		n.fail(executor.ErrDenied)
		_, changed = w.Latest()
		<-changed
		later, _ := w.Latest()
		if later.Snapshot.Letters != view.Snapshot.Letters || !later.At.Equal(view.At) || !errors.Is(later.Err, executor.ErrDenied) {
			t.Errorf("after a failed read: %+v", later)
		}
	})
}

// An outage is shown within five seconds while a reader looks, and a read that only takes long is not
// given up for it.
func TestLateReadShowsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNamespace{}
		w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
		defer w.Close()
		defer w.Look()()
		until := func(away bool) (took time.Duration) {
			began := time.Now()
			for {
				view, changed := w.Latest()
				if !view.At.IsZero() && (view.Err != nil) == away {
					return time.Since(began)
				}
				<-changed
			}
		}
		until(false)
		for _, takes := range []time.Duration{4 * time.Second, time.Hour} {
			n.takes.Store(int64(takes))
			if took := until(true); took > 5*time.Second {
				t.Errorf("the outage is shown after %v", took)
			}
			if view, _ := w.Latest(); !errors.Is(view.Err, executor.ErrUnreachable) || view.Snapshot.Letters != 7 {
				t.Errorf("during the outage: %+v", view)
			}
			if takes == time.Hour {
				n.takes.Store(0)
			}
			if took := until(false); took > 5*time.Second {
				t.Errorf("the answer is shown after %v", took)
			}
		}
	})
}

// A slowNamespace answers after some time.
type slowNamespace struct {
	namespace
	takes atomic.Int64
}

func (n *slowNamespace) Snapshot(ctx context.Context) (inspect.Snapshot, error) {
	select {
	case <-time.After(time.Duration(n.takes.Load())):
		return inspect.Snapshot{Letters: 7}, nil
	case <-ctx.Done():
		return inspect.Snapshot{}, ctx.Err()
	}
}

func TestFirstEndsWithItsContextAndTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &blocked{}
		w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.First(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its context: %v", err)
		}
		w.Close()
		if _, err := w.First(t.Context()); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A blocked namespace does not answer.
type blocked struct{ executor.Inspector }

func (b *blocked) Snapshot(ctx context.Context) (inspect.Snapshot, error) {
	<-ctx.Done()
	return inspect.Snapshot{}, ctx.Err()
}
