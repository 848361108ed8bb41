package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// repeated adds an obligation that fails n times, and returns when it was made.
func repeated(add func(string, func(context.Context) error), n int, err error) *[]time.Time {
	var made []time.Time
	add("a request", func(context.Context) error {
		if made = append(made, time.Now()); len(made) <= n {
			return err
		}
		return nil
	})
	return &made
}

func TestObligationsAreRepeatedUntilTheySucceed(t *testing.T) {
	const lease = 10 * time.Second
	refusal := fmt.Errorf("a queue: %w", ErrQueueNotFound)
	synctest.Test(t, func(t *testing.T) {
		o := newObligations(lease, slog.New(slog.DiscardHandler))
		go o.run(t.Context())
		once, twice := repeated(o.soon, 3, errors.New("not now")), repeated(o.undo, 0, nil)
		gone, denied := repeated(o.soon, 1, refusal), repeated(o.soon, 100, errors.New("never"))
		o.soon("a request that hangs", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		<-time.After(time.Hour)
		synctest.Wait()
		if n := len(*once); n != 4 || (*once)[3].Sub((*once)[2]) < (*once)[1].Sub((*once)[0]) {
			t.Errorf("one that fails 3 times was made at %v", *once)
		}
		if n := len(*twice); n != 2 || (*twice)[1].Sub((*twice)[0]) != lease {
			t.Errorf("one whose request may come later was made at %v", *twice)
		}
		if n := len(*gone); n != 1 {
			t.Errorf("one whose object is gone was made %d times", n)
		}
		if n := len(*denied); n != maxRefused {
			t.Errorf("one that is always refused was made %d times", n)
		}
		if o.mu.Lock(); len(o.list) > 1 { // the one that hangs may be in the list
			t.Errorf("%d obligations are left", len(o.list))
		}
		o.mu.Unlock()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with one that hangs: %v", err)
		}
	})
}

func TestCloseMakesTheObligationsThatAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObligations(time.Second, slog.New(slog.DiscardHandler))
		go o.run(t.Context())
		made := repeated(o.soon, 1, errors.New("not now"))
		synctest.Wait()
		if err := o.close(t.Context()); err != nil || len(*made) != 2 {
			t.Errorf("made at %v: %v", *made, err)
		}
	})
}
