package workers_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

const deadly = 13

// kills ends its process for one item.
var kills = workers.Define("kills", func(_ context.Context, x int) (int, error) {
	if x == deadly {
		os.Exit(7)
	}
	return x, nil
})

// supervise starts a worker again whenever it has died.
func supervise(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		for ctx.Err() == nil {
			if _, err := startWorker(t, url, lease).Wait(); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(func() {
		stop()
		_ = group.Wait()
	})
}

func TestAnItemThatKillsItsWorkersIsADeadLetter(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	supervise(t.Context(), t, url)
	items := make([]int, 40)
	for i := range items {
		items[i] = i
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(items))
	if err != nil {
		t.Fatal(err)
	}
	if q, err = executor.Map(t.Context(), kills, q); err != nil {
		t.Fatal(err)
	}
	at := 0
	for v, err := range bridge.All(t.Context(), q) {
		var failed *executor.ItemError
		if at == deadly && (!errors.As(err, &failed) || failed.Code != "crashed") || at != deadly && (err != nil || v != at) {
			t.Errorf("result %d is %d, %v", at, v, err)
		}
		at++
	}
	if at != len(items) {
		t.Errorf("%d results", at)
	}
	var letters []executor.DeadLetter
	for d, err := range ex.DeadLetters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, d)
	}
	if len(letters) != 1 || letters[0].Offset != deadly || letters[0].Items != 1 || letters[0].Crashes != 5 || letters[0].Attempts != 0 {
		t.Fatalf("the dead letters are %+v", letters)
	}
	host, err := os.Hostname()
	for i, w := range letters[0].Workers {
		if w.Host != host || i > 0 && (w.ID == letters[0].Workers[i-1].ID || w.At.Before(letters[0].Workers[i-1].At)) {
			t.Errorf("worker %d is %+v", i, w)
		}
	}
	if err != nil || len(letters[0].Workers) != 5 {
		t.Errorf("it died with %+v, %v", letters[0].Workers, err)
	}
	if payload, err := ex.DeadLetterItems(t.Context(), letters[0].ID); err != nil || string(payload[0]) != "13" {
		t.Errorf("it holds %q, %v", payload, err)
	}
	if err := ex.DeleteDeadLetter(t.Context(), letters[0].ID); err != nil {
		t.Error(err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
