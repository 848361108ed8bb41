//go:build !race

package sim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A source of an open queue is deleted once it is delivered to its end. If the reply to its end is
// lost, the producer does not get the error that it never existed.
func TestEndOfSourceInOpenQueue(t *testing.T) {
	t.Parallel()
	lost := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == "the reply is lost" })]
	sound, err := openQueue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for at := range sound.requests {
		if w, err := openQueue(t, map[int]fault{at: lost}); err != nil {
			t.Fatalf("at request %d: %v\n%s", at, err, w.last())
		}
	}
}

// openQueue feeds an open queue, from which another process takes all items.
func openQueue(t *testing.T, plan map[int]fault) (w *world, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{server: embedded.New(), plan: plan}
		defer w.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		ex, failed := w.actor("x", false, func() {}).connect(ctx)
		if failed != nil {
			err = failed
			return
		}
		in := make(chan int)
		q, failed := bridge.Scatter(ctx, ex, in, bridge.Name("numbers"))
		if failed != nil {
			err = errors.Join(failed, ex.Close())
			return
		}
		out, failed := bridge.Gather(ctx, q)
		if failed != nil {
			err = errors.Join(failed, ex.Close())
			return
		}
		for x := range items {
			in <- x
		}
		close(in)
		for x := range items {
			if r := <-out; r.Err != nil || r.Value != x {
				err = errors.Join(err, r.Err, errors.New("a wrong result"))
			}
		}
		<-q.Done()
		err = errors.Join(err, q.Err(), ex.Close())
	})
	return w, err
}
