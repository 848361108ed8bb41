package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// large returns an item whose frame gets a payload key.
func large(i int) string { return fmt.Sprint(i, ":") + strings.Repeat("x", 5000) }

// takeAll takes and fetches all entries available to a worker.
func (f flow) takeAll(t *testing.T, c *broker.Client, worker string) []broker.Entry {
	t.Helper()
	taken := must[[]broker.Taken](t)(c.Take(t.Context(), worker, 100, 100, f.routes()))
	if err := c.Fetch(t.Context(), nil, taken[0].Entries); err != nil {
		t.Fatal(err)
	}
	return taken[0].Entries
}

// whole returns completions of entries by a function that returns its items unchanged.
func (f flow) whole(entries []broker.Entry) (done []broker.Completion) {
	for _, e := range entries {
		done = append(done, broker.Completion{Entry: e, In: f.a, Outs: []broker.Output{{Queue: f.b, Batch: e.Batch}}})
	}
	return done
}

// queued returns the entries of the stream of a queue, without a consumer.
func queued(t *testing.T, c *broker.Client, queue string) (all []string) {
	t.Helper()
	messages, err := c.Raw().XRange(t.Context(), c.Key("q:"+queue), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%v+%v", m.Values["o"], m.Values["n"]))
		if id, ok := m.Values["f"]; ok {
			key := c.Key(fmt.Sprint("f:", id))
			if ttl := c.Raw().PTTL(t.Context(), key).Val(); ttl != -1 {
				t.Errorf("the payload of a stored entry has a lifetime of %v", ttl)
			}
		}
	}
	return all
}

// through opens a client behind a proxy. The server has loaded the scripts, so that the lost reply
// is not a NOSCRIPT error.
func through(t *testing.T) (*testkit.Proxy, *broker.Client) {
	t.Helper()
	direct, err := broker.Open(testkit.SharedRedis(t).URL()+"/?ns="+testkit.Namespace(t), broker.Options{})
	direct = opened(t, direct, err)
	f := makeFlow(t, direct, 0)
	must[broker.Scattered](t)(direct.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
	must[[]broker.Outcome](t)(direct.Complete(t.Context(), f.whole(f.takeAll(t, direct, "w1"))))
	must[broker.Gather](t)(direct.Consume(t.Context(), "g1", "x1", "b"))
	p := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
	c, err := broker.Open(p.URL()+"/?ns="+testkit.Namespace(t), broker.Options{})
	return p, opened(t, c, err)
}

func TestLostReplyStoresOnce(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"small", "large"} {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			p, c := through(t)
			f := makeFlow(t, c, 0)
			item := large
			if size == "small" {
				item = func(i int) string { return fmt.Sprint(i) }
			}
			parcels := []broker.Parcel{{Batch: framed("s1", 0, item(0), item(1))}, {Batch: framed("s1", 2, item(2))}}
			lost := cutAtScript(p)
			got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
			if wasLost(t, lost); got.Stored != 3 || !slices.Equal(queued(t, c, "a"), []string{"0+2", "2+1"}) {
				t.Fatalf("scattered %+v, there is %q", got, queued(t, c, "a"))
			}
			if err := c.Finish(t.Context(), f.source, 3); err != nil {
				t.Fatal(err)
			}
			done := f.whole(f.takeAll(t, c, "w1"))
			lost = cutAtScript(p)
			outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
			if wasLost(t, lost); !slices.Equal(outcomes, []broker.Outcome{broker.Superseded, broker.Superseded}) {
				t.Fatalf("completed %v: the first call did it", outcomes)
			}
			if in, out := queued(t, c, "a"), queued(t, c, "b"); len(in) != 0 || !slices.Equal(out, []string{"0+2", "2+1"}) {
				t.Fatalf("a has %q, b has %q", in, out)
			}
			lost = cutAtScript(p)
			g, err := c.Consume(t.Context(), "g1", "x1", "b")
			if wasLost(t, lost); err != nil || g.Epoch != 1 {
				t.Fatalf("a gather whose first reply was lost: %+v, %v", g, err)
			}
			gathered(t, c, g, []string{item(0), item(1), item(2)})
		})
	}
}

func cutAtScript(p *testkit.Proxy) <-chan struct{} {
	return p.CutAfterRequest(func(req []byte) bool { return bytes.Contains(bytes.ToLower(req), []byte("evalsha")) })
}

func wasLost(t *testing.T, lost <-chan struct{}) {
	t.Helper()
	select {
	case <-lost:
	default:
		t.Fatal("no reply was lost")
	}
}

func TestScriptsAreReloaded(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		flush := func() {
			if err := c.Raw().ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for i := range int64(3) {
			flush()
			parcels := []broker.Parcel{{Batch: framed("s1", 2*i, large(int(i)))}, {Batch: framed("s1", 2*i+1, "small")}}
			got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
			want = append(want, fmt.Sprint(2*i, "+1"), fmt.Sprint(2*i+1, "+1"))
			if all := queued(t, c, "a"); got.Stored != 2*i+2 || !slices.Equal(all, want) {
				t.Fatalf("scattered %+v, there is %q", got, all)
			}
		}
		flush()
		entries := f.takeAll(t, c, "w1")
		flush()
		outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(entries)))
		if slices.ContainsFunc(outcomes, func(o broker.Outcome) bool { return o != broker.Committed }) || !slices.Equal(queued(t, c, "b"), want) {
			t.Fatalf("completed %v, there is %q", outcomes, queued(t, c, "b"))
		}
	})
}

func TestFullMemoryIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	must[bool](t)(made(c.Declare(t.Context(), broker.Queue{Name: "other"})))
	if err := c.Join(t.Context(), broker.RoleWorker, "w1", nil); err != nil {
		t.Fatal(err)
	}
	first := []broker.Parcel{{Batch: framed("s1", 0, "a", "b")}, {Batch: framed("s1", 2, "c")}}
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, first))
	maxmemory := func(value string) {
		if err := c.Raw().ConfigSet(t.Context(), "maxmemory", value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	maxmemory("1")
	for _, item := range []string{"small", large(1)} {
		ctx, cancel := context.WithCancel(t.Context())
		before, refused := c.Failures(), make(chan error, 1)
		go func() {
			_, err := c.Scatter(ctx, f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 3, item)}})
			refused <- err
		}()
		testkit.Eventually(t, func() bool { return c.Failures() > before || len(refused) > 0 }, "it is refused")
		cancel()
		if err := <-refused; err == nil || !strings.Contains(err.Error(), "OOM") || !errors.Is(err, context.Canceled) {
			t.Fatalf("scattered into a full memory: %v", err)
		}
	}
	// Entries that are already in continue, with payloads that get no key of their own.
	done := f.whole(f.takeAll(t, c, "w1"))
	done[1].Outs[0].Batch = framed("s1", 2, large(2))
	outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
	if !slices.Equal(outcomes, []broker.Outcome{broker.Committed, broker.Committed}) {
		t.Fatalf("completed %v", outcomes)
	}
	must[broker.HeartbeatReply](t)(c.Lease(broker.RoleWorker, "w1", time.Minute).Beat(t.Context()))
	if err := c.Delete(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	scattered := make(chan error, 1)
	go func() {
		_, err := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 3, large(1))}})
		scattered <- err
	}()
	time.AfterFunc(100*time.Millisecond, func() { maxmemory("0") })
	if err := <-scattered; err != nil {
		t.Fatal(err)
	}
	must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
	if all := queued(t, c, "b"); !slices.Equal(all, []string{"0+2", "2+1", "3+1"}) {
		t.Fatalf("there is %q", all)
	}
}

func made(_ broker.Queue, made bool, err error) (bool, error) { return made, err }

// If a completion fails because the server was demoted to a replica, its entry is not at fault: it
// is completed when there is a master again.
func TestCompletionWaitsForMaster(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "a")}, {Batch: framed("s1", 1, large(1))}}))
	done := f.whole(f.takeAll(t, c, "w1"))
	if err := c.Raw().SlaveOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // an address without a server
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { c.Raw().SlaveOf(t.Context(), "NO", "ONE") })
	outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
	if !slices.Equal(outcomes, []broker.Outcome{broker.Committed, broker.Committed}) {
		t.Fatalf("completed %v", outcomes)
	}
}

func TestDeclareWaitsForMaster(t *testing.T) {
	t.Parallel()
	master, server := testkit.StartRedis(t), testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	c = opened(t, c, err)
	host, port, _ := strings.Cut(master.Addr(), ":")
	if err := c.Raw().SlaveOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := c.Declare(ctx, broker.Queue{Name: "old"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a replica made a queue: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { c.Raw().SlaveOf(t.Context(), "no", "one") })
	q, made, err := c.Declare(t.Context(), broker.Queue{Name: "new"})
	if err != nil || !made || q.Inc == "" {
		t.Fatalf("a master again: %+v, %v, %v", q, made, err)
	}
}

func TestSickOutQueueStopsOnlyItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		sick, _, err := c.Declare(t.Context(), broker.Queue{Name: "sick", Bounds: broker.Bounds{Max: 10}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Raw().Del(t.Context(), c.Key("q:sick")).Err(), c.Raw().Set(t.Context(), c.Key("q:sick"), "x", 0).Err()); err != nil {
			t.Fatal(err)
		}
		in := []broker.Parcel{{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, "two")}, {Batch: framed("s1", 2, "three")}}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, in))
		entries := f.takeAll(t, c, "w1")
		done := f.whole(entries)
		done[1].Outs[0].Queue = sick
		outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		if !slices.Equal(outcomes, []broker.Outcome{broker.Committed, broker.OutputGone, broker.Committed}) {
			t.Fatalf("completed %v", outcomes)
		}
		held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "a"))
		if len(held) != 1 || held[0].ID != entries[1].ID || !slices.Equal(queued(t, c, "b"), []string{"0+1", "2+1"}) {
			t.Fatalf("held %+v, there is %q", held, queued(t, c, "b"))
		}
		routes := []broker.Route{{In: "a", Outs: []string{"sick"}}, {In: "sick"}, {In: "gone"}, {In: "b"}}
		taken := must[[]broker.Taken](t)(c.Take(t.Context(), "w2", 10, 1, routes))
		if !taken[0].Sick || !taken[1].Sick || !taken[2].Sick || len(taken[3].Entries) != 2 || taken[3].Sick {
			t.Fatalf("taken beside sick queues: %+v", taken)
		}
	})
}
