package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// onLittleMemory runs a test on a server of its own, whose memory leaveRoom bounds. A call that waits
// for memory for 20 seconds fails.
func onLittleMemory(t *testing.T) (context.Context, *broker.Client) {
	t.Helper()
	t.Parallel()
	c, err := broker.Open(testkit.StartRedis(t).URL(), broker.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx, opened(t, c, err)
}

// leaveRoom bounds the memory of Redis at so many bytes above its use.
func leaveRoom(t *testing.T, c *broker.Client, bytes int) {
	t.Helper()
	text := must[string](t)(c.Raw().Info(t.Context(), "memory").Result())
	_, text, _ = strings.Cut(text, "used_memory:")
	used, _, _ := strings.Cut(text, "\r")
	n := must[int](t)(strconv.Atoi(used))
	if err := c.Raw().ConfigSet(t.Context(), "maxmemory", fmt.Sprint(n+bytes)).Err(); err != nil {
		t.Fatal(err)
	}
}

// payloads returns the number of payload keys, and of those that no entry has.
func payloads(t *testing.T, c *broker.Client) (all, unused int) {
	t.Helper()
	for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), "*f:*").Result()) {
		all++
		if must[time.Duration](t)(c.Raw().TTL(t.Context(), key).Result()) >= 0 {
			unused++
		}
	}
	return all, unused
}

// medium is a frame with a payload key.
func medium(i int) string { return fmt.Sprint(i, ":") + strings.Repeat("x", 20_000) }

// If the payloads of some batches fill the memory, these batches are stored, and the others leave
// nothing in Redis.
func TestRefusedPayloadsFillNoMemory(t *testing.T) {
	ctx, c := onLittleMemory(t)
	f := makeFlow(t, c, 0)
	parcels := []broker.Parcel{{Batch: framed("s1", 0, "small")}}
	for i := 1; i < 60; i++ {
		parcels = append(parcels, broker.Parcel{Batch: framed("s1", int64(i), medium(i))})
	}
	must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, nil)) // Redis knows the script
	leaveRoom(t, c, 400_000)
	got := must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, parcels))
	if got.Stored < 2 || got.Stored >= 60 || !got.Memory || got.Full || got.Cut {
		t.Errorf("scattered %+v", got)
	}
	if all, unused := payloads(t, c); int64(all) != got.Stored-1 || unused > 0 {
		t.Errorf("%d of %d batches have %d payloads, %d without an entry", got.Stored, len(parcels), all, unused)
	}
}

// A source whose next payload is missing deletes the payloads behind it: as long as Redis refuses the
// first one, they would fill the memory.
func TestRefusedPayloadsAreDeletedBehindTheFirst(t *testing.T) {
	ctx, c := onLittleMemory(t)
	f := makeFlow(t, c, 1)
	must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "small")}}))
	parcels := []broker.Parcel{{Batch: framed("s1", 1, large(1))}, {Batch: framed("s1", 2, medium(2))}}
	if got := must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, parcels)); !got.Full {
		t.Fatalf("scattered %+v into a full queue", got)
	}
	for _, key := range must[[]string](t)(c.Raw().Keys(ctx, "*f:*.5*").Result()) {
		must[int64](t)(c.Raw().Del(ctx, key).Result()) // it expires
	}
	leaveRoom(t, c, -1000)
	waiting, stop := context.WithCancel(ctx)
	before, refused := c.Failures(), make(chan error, 1)
	go func() {
		_, err := c.Scatter(waiting, f.source, "x1", broker.Window{}, parcels)
		refused <- err
	}()
	testkit.Eventually(t, func() bool { return c.Failures() > before || len(refused) > 0 }, "the scatter is refused")
	if all, _ := payloads(t, c); all != 0 {
		t.Errorf("%d payloads are in Redis", all)
	}
	stop()
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "redis is full") {
		t.Errorf("the scatter ended with %v", err)
	}
}

// A large batch waits for memory in small parts, and the caller cuts it at the end of the stored part.
func TestLargeBatchIsStoredInParts(t *testing.T) {
	ctx, c := onLittleMemory(t)
	f := makeFlow(t, c, 0)
	items := make([]string, 100)
	for i := range items {
		items[i] = medium(i)
	}
	must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, nil)) // Redis knows the script
	leaveRoom(t, c, 400_000)
	got := must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, items...)}}))
	if got.Stored != 1 || !got.Memory || !got.Cut {
		t.Errorf("scattered %+v", got)
	}
	if all, unused := payloads(t, c); all != 1 || unused != 0 {
		t.Errorf("%d payloads, %d without an entry", all, unused)
	}
}

// A completion whose payloads fill the memory is stored without payload keys, and leaves none.
func TestRefusedPayloadsOfCompletionAreDeleted(t *testing.T) {
	ctx, c := onLittleMemory(t)
	f := makeFlow(t, c, 0)
	const n = 60
	must[broker.Scattered](t)(c.Scatter(ctx, f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, make([]string, n)...)}}))
	entries := f.takeAll(t, c, "w1")
	done := []broker.Completion{{Entry: entries[0], In: f.a}}
	for i := range n {
		done[0].Outs = append(done[0].Outs, broker.Output{Queue: f.b, Batch: framed("s1", int64(i), medium(i))})
	}
	leaveRoom(t, c, 400_000)
	outcomes := must[[]broker.Outcome](t)(c.Complete(ctx, done))
	if outcomes[0] != broker.Committed || len(queued(t, c, "b")) != n {
		t.Errorf("completed %v with %d entries", outcomes, len(queued(t, c, "b")))
	}
	if all, _ := payloads(t, c); all != 0 {
		t.Errorf("%d payloads are in Redis", all)
	}
}

// While the memory is full, a program makes the flow that drains it, and workers have the results of
// futures, hints and reports stored.
func TestCallsThatDrainPassFullMemory(t *testing.T) {
	ctx, c := onLittleMemory(t)
	f := makeFlow(t, c, 0)
	raw := must[broker.Queue](t)(declared(c.Declare(ctx, broker.Queue{Name: "raw", Codec: "raw"})))
	leaveRoom(t, c, -1000)
	out := must[broker.Queue](t)(declared(c.Declare(ctx, broker.Queue{Name: "out"})))
	if _, _, err := c.Source(ctx, "s2", out, 0, broker.Of("x1")); err != nil {
		t.Error(err)
	}
	if _, err := c.Report(ctx, "w1", broker.Report{Number: 1}); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"stage":   c.Stage(ctx, broker.Stage{ID: "late", Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{f.b}, Outs: []broker.Out{{Queue: out}}}),
		"adopt":   c.Adopt(ctx, raw, "json", "int"),
		"limit":   c.LimitBatches(ctx, []string{"a"}, 10),
		"seal":    c.Seal(ctx, "out"),
		"hint":    c.SendHint(ctx, "w1", broker.Hint{Kind: broker.HintRoom, What: "a"}),
		"watch":   c.MarkWatched(ctx),
		"resolve": c.Resolve(ctx, broker.Resolved{Source: "s1", First: 7, Reply: "x1", TTL: time.Minute, Results: [][]byte{framed("", 0, "seven").Frame}}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	results := must[[][]byte](t)(c.Futures(ctx, []string{broker.FutureID("s1", 7)}))
	if len(results) != 1 || string(results[0]) != string(framed("", 0, "seven").Frame) {
		t.Errorf("the result is %q", results)
	}
	var hints []string
	for _, entry := range c.Raw().XRange(ctx, "{dq:0}:p:x1", "-", "+").Val() {
		hints = append(hints, fmt.Sprint(entry.Values["m"], " ", entry.Values["w"]))
	}
	if text := strings.Join(hints, ", "); !strings.Contains(text, broker.HintDone+" s1 7 1") {
		t.Errorf("the hints are %s", text)
	}
}
