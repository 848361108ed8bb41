package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// sender returns a Sender of a new source, without a window.
func sender(t *testing.T, w brokertest.World, name string, q broker.Queue) *producer.Sender {
	t.Helper()
	s, wake := w.NewSource(t, name, q)
	return producer.NewSender(w.C, s, "x1", wake, broker.Window{})
}

// A running is a Receiver whose items are received one by one.
type running struct {
	*Receiver
	cancel  context.CancelFunc
	done    chan error
	current Range
	next    int64
}

// inherit starts the successor of the receiver of a queue. The executor leaves before that and
// joins again.
func inherit(t *testing.T, w brokertest.World, queue string) *running {
	t.Helper()
	err := w.C.Leave(t.Context(), broker.RoleExecutor, "x1")
	run := receive(t, w, queue, ReceiverOptions{})
	if err := errors.Join(err, w.C.Join(t.Context(), broker.RoleExecutor, "x1", nil)); err != nil {
		t.Fatal(err)
	}
	return run
}

func receive(t *testing.T, w brokertest.World, queue string, o ReceiverOptions) *running {
	t.Helper()
	o.Executor, o.Log, o.Later = "x1", slog.New(slog.DiscardHandler), func(string, func(context.Context) error) {}
	r, err := Receive(t.Context(), w.C, queue, o)
	if err != nil {
		t.Fatal(err)
	}
	r.loop.auditor.interval, r.loop.auditor.backoff = 100*time.Millisecond, 100*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	run := &running{Receiver: r, cancel: cancel, done: make(chan error, 1)}
	go func() { run.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.Left()
		cancel()
	})
	return run
}

// item receives the next item as text, "" at the end. It does not deliver the item.
func (r *running) item(t *testing.T) (source, text string) {
	t.Helper()
	if r.current.Entry == nil || r.next == r.current.To {
		select {
		case rg, ok := <-r.Pieces():
			if !ok {
				return "", ""
			}
			r.current, r.next = rg, rg.From
		case <-time.After(20 * time.Second):
			t.Fatal("no item has arrived")
		}
	}
	each(r.current, func(i int, item []byte, f *batch.Failure) {
		if r.current.From+int64(i) == r.next {
			text = string(item)
			if f != nil {
				text = "failed: " + f.Message
			}
		}
	})
	r.next++
	return r.current.Entry.Source, text
}

// all receives and delivers all items, by source.
func (r *running) all(t *testing.T) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for source, text := r.item(t); source != ""; source, text = r.item(t) {
		got[source] = append(got[source], text)
		r.Delivered(1)
	}
	return got
}

// ended waits until Run has returned.
func (r *running) ended(t *testing.T) error {
	t.Helper()
	r.Left()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the receiver does not end")
		return nil
	}
}

// waits lets time pass in which no item may arrive.
func (r *running) waits(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case rg := <-r.Pieces():
		t.Fatalf("[%d,%d) was handed out, %+v", rg.From, rg.To, rg.Entry.Lost)
	case <-time.After(d):
	}
	synctest.Wait()
	if len(r.loop.auditor.missing) == 0 {
		t.Error("no item is missed")
	}
}

// ticket receives the next item, with its ticket.
func (r *running) ticket(t *testing.T) (text string, ticket *Ticket) {
	t.Helper()
	if _, text = r.item(t); text == "" {
		return "", nil
	}
	return text, r.current.Origin().Ticket(int(r.next - 1 - r.current.From))
}

// each calls f for each item of a range: its bytes, or its failure.
func each(rg Range, f func(i int, item []byte, failure *batch.Failure)) {
	r := rg.Reader()
	for i := range rg.Len() {
		if rg.Entry.Lost != nil {
			f(i, nil, rg.Entry.Lost)
			continue
		}
		item, failed, _ := r.Next()
		if failed {
			failure := batch.ParseFailure(item)
			f(i, nil, &failure)
			continue
		}
		f(i, item, nil)
	}
}

// inBubble runs a test on the embedded broker in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w brokertest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		test(t, brokertest.Embedded(t, server, "dq"))
	})
}

// cutKey splits "{ns:0}:name".
func cutKey(key string) (tag, name string, ok bool) {
	for i := range key {
		if key[i] == '}' {
			return key[:i+1], key[i+2:], true
		}
	}
	return "", key, false
}

// A line is a flow of 20 items in batches of 5: source s -> queue a -> stage -> queue b.
type line struct {
	brokertest.World
	a, b      broker.Queue
	unordered bool // of the gather
}

func newLine(t *testing.T, w brokertest.World) line {
	t.Helper()
	l := line{World: w, a: w.Queue(t, broker.Queue{Name: "a", Seal: false})}
	l.b = w.Queue(t, broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	stage := broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{l.a}, Outs: []broker.Out{{Queue: l.b}}}
	if err := w.C.Stage(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if err := <-brokertest.Send(t.Context(), sender(t, w, "s", l.a), 5, 20); err != nil {
		t.Fatal(err)
	}
	if err := w.C.Seal(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	return l
}

// step completes the entries that are in queue a now.
func (l line) step(ctx context.Context, worker string) error {
	taken, err := l.C.Take(ctx, worker, 100, 1, []broker.Route{{In: "a", Outs: []string{"b"}}})
	if err != nil {
		return err
	}
	var done []broker.Completion
	for _, e := range taken[0].Entries {
		done = append(done, broker.Completion{Entry: e, In: l.a, Outs: []broker.Output{{Queue: l.b, Batch: e.Batch}}})
	}
	_, err = l.C.Complete(ctx, done)
	return err
}

// work lets a worker run until the test has ended.
func (l line) work(t *testing.T) {
	t.Helper()
	if err := l.C.Join(t.Context(), broker.RoleWorker, "w2", nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		for l.step(ctx, "w2") == nil {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// ids are those of a stream.
func (l line) ids(t *testing.T, stream string) (ids []string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(stream), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// read reads entries as a consumer that is in no registry.
func (l line) read(t *testing.T, stream, consumer string) {
	t.Helper()
	err := l.Raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "w", Consumer: consumer, Streams: []string{l.Key(stream), ">"}, Count: 3, Block: -1,
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// toTheEnd moves the group of a stream behind all entries.
func (l line) toTheEnd(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupSetID(t.Context(), l.Key(stream), "w", "$").Err())
}

func (l line) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// move moves the second entry of a stream into another stream.
func (l line) move(t *testing.T, from, to string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(from), "-", "+").Result()
	l.must(t, err)
	e := entries[min(1, len(entries)-1)]
	l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key(to), Values: e.Values}).Err())
	l.must(t, l.Raw.XDel(t.Context(), l.Key(from), e.ID).Err())
}

// branch copies a stream as a branch of its source.
func (l line) branch(t *testing.T, from, to, source string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(from), "-", "+").Result()
	l.must(t, err)
	for _, e := range entries {
		e.Values["s"] = source
		l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key(to), Values: e.Values}).Err())
	}
}

// setBack moves the group of a stream to its beginning: other consumers read pending entries too.
func (l line) setBack(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupSetID(t.Context(), l.Key(stream), "w", "0").Err())
}

// anew deletes the group, with all pending entries, and makes it again.
func (l line) anew(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupDestroy(t.Context(), l.Key(stream), "w").Err())
	l.must(t, l.Raw.XGroupCreate(t.Context(), l.Key(stream), "w", "0").Err())
}

// compare checks that each item arrived once, in order unless unordered, or is lost.
func (l line) compare(t *testing.T, got []string, lost []int64) {
	t.Helper()
	want := brokertest.Offsets(0, 20)
	for _, at := range lost {
		want[at] = "lost"
	}
	for i, text := range got {
		if strings.Contains(text, "Redis lost them") {
			got[i] = "lost"
		}
	}
	if l.unordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("received %q, not %q", got, want)
	}
}
