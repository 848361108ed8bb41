package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// stored scatters values into a queue, in batches of a size.
func stored[T any](t *testing.T, ex *executor.Executor, queue string, size int, values ...T) *executor.Queue[T] {
	t.Helper()
	p, err := bridge.NewProducer[T](t.Context(), ex, bridge.Name(queue), bridge.DurableSource("of-"+queue), bridge.MaxBatch(size))
	if err == nil {
		err = p.SendAll(t.Context(), values)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p.Queue()
}

// peeked returns the states and texts of all items of a queue, read in pages.
func peeked(t *testing.T, ex *executor.Executor, queue string, size int) (all []string) {
	t.Helper()
	for from := ""; ; {
		page, err := ex.Peek(t.Context(), queue, from, size)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			all = append(all, item.State+" "+item.Form+" "+item.Text)
		}
		if from = page.Next; from == "" {
			return all
		}
		if len(page.Items) != size {
			t.Fatalf("a page with a next one has %d items, not %d", len(page.Items), size)
		}
	}
}

func TestPeekPagesThroughAQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var values []int
		var want []string
		for n := range 130 {
			values = append(values, n)
			want = append(want, "waiting json "+strings.Repeat("1", 1+n%3))
		}
		for i := range values {
			values[i] = []int{1, 11, 111}[i%3]
		}
		q := stored(t, ex, "numbers", 3, values...)
		for _, size := range []int{1, 7, 130, 1000} {
			if got := peeked(t, ex, "numbers", size); !slices.Equal(got, want) {
				t.Errorf("pages of %d: %d items, %.200q", size, len(got), got)
			}
		}
		page, err := ex.Peek(t.Context(), "numbers", "", 5)
		if err != nil || page.Type != "int" || page.Codec != "json" {
			t.Fatalf("%v: %+v", err, page)
		}
		item := page.Items[4]
		if again, err := ex.Peek(t.Context(), "numbers", item.Position, 1); err != nil || again.Items[0] != item || item.Offset != 4 || item.Source != "of-numbers" || item.Since.IsZero() {
			t.Errorf("%v: from %+v comes %+v", err, item, again)
		}
		if err := q.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := ex.Peek(t.Context(), "numbers", "", 5); !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("a queue that was deleted: %v", err)
		}
	})
}

func TestPeekBoundsItems(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := stored(t, ex, "texts", 1, "short", strings.Repeat("ü", 3000), "\xff\x00", strings.Repeat("x", 3<<20))
		page, err := ex.Peek(t.Context(), "texts", "", 10)
		if err != nil || len(page.Items) != 4 {
			t.Fatalf("%v: %d items", err, len(page.Items))
		}
		short, long, bytes, large := page.Items[0], page.Items[1], page.Items[2], page.Items[3]
		if short.Text != "short" || short.Form != inspect.TextForm || short.Bytes != 5 || short.Cut {
			t.Errorf("a short text: %+v", short)
		}
		if long.Text != strings.Repeat("ü", 2048) || long.Bytes != 6000 || !long.Cut {
			t.Errorf("a long text has %d bytes of %d", len(long.Text), long.Bytes)
		}
		if bytes.Text != "/wA=" || bytes.Form != inspect.Base64Form {
			t.Errorf("bytes: %+v", bytes)
		}
		if large.Text != "" || large.Form != inspect.LargeForm || large.Bytes < 3<<20 {
			t.Errorf("a large item: %.100v", large)
		}
		if err := q.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Items that a worker holds, that wait for another attempt, and that have failed.
func TestPeekTellsStates(t *testing.T) {
	step := workers.Define("step", func(ctx context.Context, n int) (int, error) {
		switch n {
		case 1:
			<-ctx.Done()
		case 2:
			return 0, errors.New("later")
		case 3:
			return 0, workers.Permanent(errors.New("never"))
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := stored(t, ex, "in", 1, 1, 2, 3, 4)
		out, err := executor.Map(t.Context(), step, q, executor.Name("out"), executor.Retries(3), executor.Backoff(time.Hour, time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool {
			in, out := peeked(t, ex, "in", 10), peeked(t, ex, "out", 10)
			slices.Sort(out)
			return slices.Equal(in, []string{"held json 1", "delayed json 2"}) && slices.Equal(out, []string{"waiting failure error: never", "waiting json 4"})
		}, "the items in their states")
		if err := errors.Join(q.Delete(t.Context()), out.Delete(t.Context())); err != nil {
			t.Fatal(err)
		}
	}, step)
}
