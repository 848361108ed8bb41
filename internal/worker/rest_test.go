package worker

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A worker that waits for rings looks at the ready queues a quarter as often beside 240 workers as beside
// 60: the fleet looks as often.
func TestWorkerOfALargeFleetRestsLonger(t *testing.T) {
	t.Parallel()
	small, large := looksAtRest(t, 60), looksAtRest(t, 240)
	if large == 0 || large > small*3/10 {
		t.Errorf("%d requests beside 60 workers, %d beside 240", small, large)
	}
}

// restLease is that of the worker that looksAtRest measures.
const restLease = 2 * time.Minute

// looksAtRest returns the requests of a worker beside so many others, in a lease and without its heartbeats.
func looksAtRest(t *testing.T, others int) (looks int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		world, meter := brokertest.Metered(t, server)
		p := newPlant(t, world, 0, "f")
		w, err := New("", Options{
			Client: p.C, Concurrency: 1, Functions: []*runner.Function{defined("f", double)},
			Connection: connection.Settings{Options: broker.Options{Log: slog.New(slog.DiscardHandler)}, Lease: restLease},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go beatForOthers(ctx, p, others)
		run(t, w)
		<-time.After(restLease) // a heartbeat has told the worker of the others
		synctest.Wait()
		begun := meter.Requests.Load()
		<-time.After(restLease)
		synctest.Wait()
		looks = meter.Requests.Load() - begun - broker.Beats
	})
	return looks
}

// beatForOthers keeps workers that do nothing registered until ctx ends.
func beatForOthers(ctx context.Context, p plant, n int) {
	for ctx.Err() == nil {
		others := make([]redis.Z, n)
		for i := range others {
			others[i] = redis.Z{Score: float64(time.Now().UnixMilli()), Member: fmt.Sprint("other", i)}
		}
		p.Raw.ZAdd(ctx, p.Key("workers"), others...)
		broker.Pause(ctx, restLease/broker.Beats)
	}
}
