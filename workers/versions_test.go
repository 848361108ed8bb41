package workers_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Two workers that join at the same time find each other and also send each other a hint. Each
// warns once.
func TestWorkersThatJoinTogetherWarnOnce(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	fleet := record{raw: redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()}), prefix: "{" + ns + ":0}:"}
	defer fleet.raw.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	start := func(version string, log *diary) {
		f := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil }, workers.Version(version))
		w := must(workers.New(url, workers.Functions(f), workers.Logger(slog.New(slog.NewTextHandler(log, nil)))))(t)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
	}
	var first, second diary
	start("1", &first)
	start("2", &second) // it finds the first one
	for _, note := range []string{`{"function":"inc","version":"1"}`, `{"function":"inc","version":"3"}`} {
		for _, worker := range fleet.workers(t) {
			hint := &redis.XAddArgs{Stream: fleet.prefix + "p:" + worker, Values: []any{"m", "version", "w", note}}
			if err := fleet.raw.XAdd(t.Context(), hint).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	testkit.Eventually(t, func() bool { return second.says("version=2 theirs=3") == 1 }, "both hints are read")
	if n := second.says("version=2 theirs=1"); n != 1 {
		t.Errorf("it warns %d times of version 1", n)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
