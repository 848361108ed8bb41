package waits_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/waits"
)

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestShareIsThatOfTheLastTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := waits.New()
		wants := func(what string, percent int, since time.Duration) {
			t.Helper()
			if r := c.Read(); r.Percent != percent || r.For != since {
				t.Errorf("%s: %+v, not %d %% for %v", what, r, percent, since)
			}
		}
		wants("at the start", 0, 0)
		pass(time.Second)
		c.Begin()
		pass(3 * time.Second)
		wants("a wait of 3 of 4 s", 75, 3*time.Second)
		c.Begin() // of another goroutine
		pass(time.Second)
		c.End()
		wants("both together", 80, 4*time.Second)
		c.End()
		for range 20 {
			pass(time.Second)
			c.Read()
		}
		wants("long after it", 0, 0)
		c.Begin()
		pass(time.Minute)
		wants("a minute without a read", 100, time.Minute)
		pass(10 * time.Second)
		wants("only waits", 100, 70*time.Second)
	})
}
