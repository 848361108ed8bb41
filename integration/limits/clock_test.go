package limits_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

const address = "redis://127.0.0.1:6379"

// jumpingClock runs the clock of a server, in steps of a millisecond. After each time of shifts, it is
// shifted by the value of that time.
func jumpingClock(ctx context.Context, server *embedded.Server, shifts map[time.Duration]time.Duration) {
	begin, shift := time.Now(), time.Duration(0)
	for ctx.Err() == nil {
		if by, ok := shifts[time.Since(begin)]; ok {
			shift = by
		}
		server.StandAt(time.Now().Add(shift))
		_ = sleep(ctx, time.Millisecond)
	}
}

// runWorker runs a worker until the test ends.
func runWorker(t *testing.T, server *embedded.Server, opts ...workers.Option) {
	t.Helper()
	w, err := workers.New(address, append(opts, workers.Dialer(server.Dial))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-w.Ready()
}

// The clock of Redis jumps by an hour, ahead and back, while calls wait. The limits hold, and no call
// waits for long.
func TestLimitsHoldWhenClockJumps(t *testing.T) {
	for name, c := range map[string]struct {
		opts  []executor.MapOption
		most  int // calls in a second
		items int
	}{
		"rate":   {[]executor.MapOption{executor.RateLimit(20, time.Second)}, 20, 160},
		"burst":  {[]executor.MapOption{executor.RateLimit(20, time.Second), executor.Burst(10)}, 29, 160},
		"slow":   {[]executor.MapOption{executor.RateLimit(2, time.Second)}, 2, 16},
		"places": {[]executor.MapOption{executor.MaxConcurrency(2)}, 20, 160},
	} {
		for way, hour := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
			t.Run(name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := embedded.New()
					t.Cleanup(server.Close)
					ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						jumpingClock(ctx, server, map[time.Duration]time.Duration{2 * time.Second: hour, 5 * time.Second: 0})
					}()
					t.Cleanup(func() { stop(); <-ended })
					var made calls
					call := made.function(100 * time.Millisecond)
					for range 3 {
						runWorker(t, server, workers.Functions(call), workers.Concurrency(8))
					}
					ex, err := executor.New(t.Context(), address, executor.Dialer(server.Dial))
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = ex.Close() })
					gather(t, ex, call, c.items, c.opts...)
					times := made.since()
					if n := mostIn(times, time.Second-5*time.Millisecond); n > c.most || len(times) != c.items {
						t.Errorf("%d calls, %d in a second: %v", len(times), n, times)
					}
					if wait := longestPause(times); wait > 2*time.Second {
						t.Errorf("no call began for %v", wait)
					}
				})
			})
		}
	}
}

// longestPause returns the longest time between two calls that follow each other.
func longestPause(times []time.Duration) (longest time.Duration) {
	for i := range times[1:] {
		longest = max(longest, times[i+1]-times[i])
	}
	return longest
}
