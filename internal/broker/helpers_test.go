package broker_test

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// onBoth runs a test on the embedded broker and on a real server.
func onBoth(t *testing.T, test func(t *testing.T, c *broker.Client)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		c, err := server.Open("redis://127.0.0.1/?ns="+testkit.Namespace(t), nil)
		test(t, opened(t, c, err))
	})
	t.Run("redis", func(t *testing.T) {
		c, err := broker.Open(testkit.SharedRedis(t).URL()+"/?ns="+testkit.Namespace(t), broker.Options{})
		test(t, opened(t, c, err))
	})
}

func opened(t *testing.T, c *broker.Client, err error) *broker.Client {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// framed makes a batch of texts.
func framed(source string, first int64, items ...string) batch.Batch {
	var b batch.Builder
	for _, item := range items {
		b.Value([]byte(item))
	}
	return batch.Batch{Source: source, First: first, N: len(items), Frame: b.Take()}
}

// texts returns the items of a batch.
func texts(b batch.Batch) (items []string) {
	r := batch.Read(b.Frame)
	for item, _, ok := r.Next(); ok; item, _, ok = r.Next() {
		items = append(items, string(item))
	}
	return items
}

// watched returns all sources of a root queue, by name.
func watched(t *testing.T, c *broker.Client, g broker.Gather, root string) (sources map[string]broker.Progress, sealed bool) {
	t.Helper()
	sources = map[string]broker.Progress{}
	for after, more := "0", true; more; {
		w := must[broker.Watched](t)(c.Watch(t.Context(), g, broker.Path{Queue: root}, after))
		for _, p := range w.Sources {
			sources[p.Name] = p
		}
		after, more, sealed = w.Last, w.More, w.Sealed
	}
	return sources, sealed
}

// gaps returns the ranges that a source has dropped.
func gaps(t *testing.T, c *broker.Client, source string) string {
	t.Helper()
	ranges, _, err := c.Dropped(t.Context(), source, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}
