package doctor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// No payload of a flow counts as an orphan while its batches are added, move, fail and are tried again. One that no
// entry has is named until it has a lifetime.
func TestOrphansAreToldFromPayloadsOfLiveFlow(t *testing.T) {
	server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
	url := server.URL() + "/?ns=" + ns
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	var attempts atomic.Int64
	grow := workers.Define("grow", func(_ context.Context, s string) (string, error) {
		if attempts.Add(1)%5 == 0 {
			return "", errors.New("not this time")
		}
		return s + "x", nil
	})
	if err := ex.Register(grow); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	delivered := flowOfPayloads(ctx, t, ex, grow)
	orphans := func() *doctor.Payloads {
		p := doctor.ReadPayloads(t.Context(), url)
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		return p
	}
	for round := range 20 {
		testkit.Eventually(t, func() bool { return delivered.Load() >= int64(20*(round+1)) }, "items are delivered")
		if p := orphans(); len(p.Orphans) > 0 {
			t.Fatalf("round %d: %+v", round, p)
		}
	}
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	planted := "{" + ns + ":0}:f:5f0c8e0e-0000-4000-8000-000000000000.5000"
	raw.Set(t.Context(), planted, strings.Repeat("x", 5000), 0)
	testkit.Eventually(t, func() bool { return slices.Equal(orphans().Orphans, []string{planted}) }, "it is named, alone")
	raw.Expire(t.Context(), planted, time.Hour)
	for range 3 {
		if p := orphans(); len(p.Orphans) > 0 {
			t.Fatalf("it has a lifetime: %+v", p)
		}
	}
}

// flowOfPayloads scatters large items through two stages until ctx ends. It counts the delivered ones.
func flowOfPayloads(ctx context.Context, t *testing.T, ex *executor.Executor, f workers.Func[string, string]) *atomic.Int64 {
	t.Helper()
	in, err := bridge.ScatterSeq(ctx, ex, func(yield func(string) bool) {
		for ctx.Err() == nil && yield(strings.Repeat("y", 5000)) {
			continue
		}
	}, bridge.MaxBatch(2), bridge.MaxSize(100))
	if err != nil {
		t.Fatal(err)
	}
	tried := []executor.MapOption{executor.Retries(100), executor.Backoff(time.Millisecond, time.Millisecond), executor.NoFuse()}
	mid, err := executor.Map(ctx, f, in, tried...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(ctx, f, mid, tried...)
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	delivered := new(atomic.Int64)
	go func() {
		for range results {
			delivered.Add(1)
		}
	}()
	return delivered
}
