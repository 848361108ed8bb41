package broker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A source with KeepInputs keeps each item until all leaves have delivered it, including dropped
// items and payloads. A batch that is stored twice is kept once.
func TestInputsAreKeptUntilDelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx, large := t.Context(), strings.Repeat("x", 5000)
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.Source(ctx, "s", q, 1, broker.KeepInputs("string (raw)"))
		if err != nil {
			t.Fatal(err)
		}
		s.Overflow = broker.OverflowDropNewest
		for range 2 { // the first reply is lost
			parcels := []broker.Parcel{{Batch: framed("s", 0, "a", "b")}, {Batch: framed("s", 2, large)}, {Batch: framed("s", 3, "dropped")}}
			must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{Items: 3}, parcels))
		}
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "q"))
		kept := func(offset int64) string {
			t.Helper()
			got := must[broker.Kept](t)(c.Input(ctx, "s", offset))
			if got.N > 0 && (offset >= got.End() || got.Format != "string (raw)") {
				t.Errorf("input %d: %d items from %d on, of %q", offset, got.N, got.First, got.Format)
			}
			if offset < got.First {
				return ""
			}
			return string(got.Frame)
		}
		ab, big, dropped := string(framed("s", 0, "a", "b").Frame), string(framed("s", 2, large).Frame), string(framed("s", 3, "dropped").Frame)
		for _, step := range []struct {
			low  int64
			want [5]string
		}{{0, [5]string{ab, ab, big, dropped}}, {1, [5]string{ab, ab, big, dropped}}, {2, [5]string{"", "", big, dropped}}, {4, [5]string{}}} {
			if _, err := c.Ack(ctx, g, nil, []broker.Mark{{Source: "s", Delivered: "0", Low: step.low}}, 0, func(string) string { return "q" }); err != nil {
				t.Fatal(err)
			}
			for offset, want := range step.want {
				if got := kept(int64(offset)); got != want {
					t.Errorf("delivered to %d: input %d has %d bytes, not %d", step.low, offset, len(got), len(want))
				}
			}
		}
		if got := must[broker.Kept](t)(c.Input(ctx, "another", 0)); got.N != 0 {
			t.Errorf("another source keeps %+v", got)
		}
		must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{Items: 3}, []broker.Parcel{{Batch: framed("s", 4, "late")}}))
		if err := c.Finish(ctx, s, 5); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ack(ctx, g, nil, []broker.Mark{{Source: "s", Delivered: "0", Low: 5, Retire: true}}, 0, func(string) string { return "q" }); err != nil {
			t.Fatal(err)
		}
		if keys := must[[]string](t)(c.Raw().Keys(ctx, c.Key("in:*")).Result()); len(keys) > 0 {
			t.Errorf("inputs are left: %q", keys)
		}
	})
}

// A call that kept a batch but could not store it is repeated. A successor of the source keeps its
// items too.
func TestInputsAreKeptAfterRetry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx := t.Context()
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.Source(ctx, "s", q, 0, broker.Durable(), broker.KeepInputs("string (raw)"))
		if err != nil {
			t.Fatal(err)
		}
		stream := c.Key("q:q")
		if err := errors.Join(c.Raw().Del(ctx, stream).Err(), c.Raw().Set(ctx, stream, "a stranger's", 0).Err()); err != nil {
			t.Fatal(err)
		}
		first := []broker.Parcel{{Batch: framed("s", 0, "a")}}
		if _, err := c.Scatter(ctx, s, "x", broker.Window{}, first); err == nil {
			t.Error("a batch is stored in a string")
		}
		if err := errors.Join(c.Raw().Del(ctx, stream).Err(), c.Raw().XGroupCreateMkStream(ctx, stream, "w", "0").Err()); err != nil {
			t.Fatal(err)
		}
		if got := must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{}, first)); got.Stored != 1 {
			t.Errorf("stored %d", got.Stored)
		}
		successor, stored, err := c.Source(ctx, "s", q, 0, broker.Durable())
		if err != nil || stored != 1 {
			t.Fatal(stored, err)
		}
		must[broker.Scattered](t)(c.Scatter(ctx, successor, "x", broker.Window{}, []broker.Parcel{{Batch: framed("s", 1, "b")}}))
		for offset, want := range []string{"a", "b"} {
			got := must[broker.Kept](t)(c.Input(ctx, "s", int64(offset)))
			if got.First != int64(offset) || string(got.Frame) != string(framed("s", got.First, want).Frame) {
				t.Errorf("input %d is %+v", offset, got)
			}
		}
	})
}
