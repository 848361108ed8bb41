package jobs

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDelaySeparatesStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(Settings{Delay: time.Second, Breaker: NewBreaker(Halt{}, 0)})
		begin := time.Now()
		for n := range 3 {
			if !r.wait(t.Context()) || time.Since(begin) != time.Duration(n)*time.Second {
				t.Errorf("start %d after %v", n, time.Since(begin))
			}
		}
		time.AfterFunc(time.Second/2, func() { close(r.Breaker.halted) })
		if r.wait(t.Context()) || time.Since(begin) != 2500*time.Millisecond {
			t.Errorf("a job starts after the halt, after %v", time.Since(begin))
		}
	})
}
