package edge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A world is a broker with an executor x1 that has joined.
type world struct {
	c    *broker.Client
	keys func() []string // all of the namespace
	raw  *redis.Client   // past the protocol
	ns   string
}

// key is the name of a key in full.
func (w world) key(name string) string { return "{" + w.ns + ":0}:" + name }

var quiet = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

// onBoth runs a test on the embedded broker and on a real server.
func onBoth(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server, ns := embedded.New(), space(t)
		t.Cleanup(server.Close)
		c, err := server.Open("redis://127.0.0.1/?ns="+ns, nil)
		raw := redis.NewClient(&redis.Options{Dialer: server.Dial, Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet})
		test(t, opened(t, world{c, func() []string { return server.Keys() }, raw, ns}, err))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server, ns := testkit.SharedRedis(t), space(t)
		c, err := broker.Open(server.URL()+"/?ns="+ns, broker.Options{})
		raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet})
		test(t, opened(t, world{c, func() []string { return testkit.Keys(t, server.URL(), "{"+ns+":*") }, raw, ns}, err))
	})
}

// space is the end of the test's namespace: the names of tests are longer than
// a name may be.
func space(t *testing.T) string {
	t.Helper()
	ns := testkit.Namespace(t)
	return ns[max(0, len(ns)-40):]
}

func opened(t *testing.T, w world, err error) world {
	t.Helper()
	if err == nil {
		err = w.c.Join(t.Context(), broker.RoleExecutor, "x1", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.c.Close(), w.raw.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// payloads are the keys that hold large frames.
func (w world) payloads() []string {
	return slices.DeleteFunc(w.keys(), func(key string) bool { return !strings.Contains(key, "}:f:") })
}

func (w world) declare(t *testing.T, q broker.Queue) broker.Queue {
	t.Helper()
	q, _, err := w.c.Declare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// sender makes a source of a queue and a sender that hears of room.
func (w world) sender(t *testing.T, name string, q broker.Queue, window int64) *Sender {
	t.Helper()
	s, stored, err := w.c.Source(t.Context(), name, q, 0)
	if err != nil || stored != 0 {
		t.Fatal(stored, err)
	}
	wake := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	hub, ended := w.c.Reader("x1", time.Second), make(chan struct{})
	go func() {
		defer close(ended)
		for last := "0"; ctx.Err() == nil; {
			hints, after, err := hub.Hints(ctx, last)
			if err != nil {
				return
			}
			if last = after; len(hints) > 0 {
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = hub.Close()
		<-ended
	})
	return NewSender(w.c, s, "x1", wake, window)
}

// waiting is how many items wait in a queue.
func (w world) waiting(t *testing.T, queue string) int64 {
	t.Helper()
	backlog, err := w.c.Waiting(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return backlog.Items
}

// A running receiver. Its items come one by one.
type running struct {
	*Receiver
	cancel context.CancelFunc
	done   chan error
	piece  Range
	next   int64
}

// inherit starts the successor of the receiver of a queue, whose executor has left
// meanwhile and joins again.
func (w world) inherit(t *testing.T, queue string) *running {
	t.Helper()
	err := w.c.Leave(t.Context(), broker.RoleExecutor, "x1")
	run := w.receive(t, queue, ReceiverOptions{})
	if err := errors.Join(err, w.c.Join(t.Context(), broker.RoleExecutor, "x1", nil)); err != nil {
		t.Fatal(err)
	}
	return run
}

func (w world) receive(t *testing.T, queue string, o ReceiverOptions) *running {
	t.Helper()
	o.Executor, o.Log, o.Later = "x1", slog.New(slog.DiscardHandler), func(string, func(context.Context) error) {}
	r, err := Receive(t.Context(), w.c, queue, o)
	if err != nil {
		t.Fatal(err)
	}
	r.auditor.pace, r.auditor.wait = 100*time.Millisecond, 100*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	run := &running{Receiver: r, cancel: cancel, done: make(chan error, 1)}
	go func() { run.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.Left()
		cancel()
	})
	return run
}

// item receives the next item as text, "" at the end. It is not delivered yet.
func (r *running) item(t *testing.T) (source, text string) {
	t.Helper()
	if r.piece.Entry == nil || r.next == r.piece.To {
		select {
		case p, ok := <-r.Pieces():
			if !ok {
				return "", ""
			}
			r.piece, r.next = p, p.From
		case <-time.After(20 * time.Second):
			t.Fatal("no item comes")
		}
	}
	each(r.piece, func(i int, item []byte, f *batch.Failure) {
		if r.piece.From+int64(i) == r.next {
			text = string(item)
			if f != nil {
				text = "failed: " + f.Message
			}
		}
	})
	r.next++
	return r.piece.Entry.Source, text
}

// all receives and delivers everything, by source.
func (r *running) all(t *testing.T) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for source, text := r.item(t); source != ""; source, text = r.item(t) {
		got[source] = append(got[source], text)
		r.Delivered(1)
	}
	return got
}

// ended waits until the receiver has.
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

// offsets are the texts of the items [from, to) that numbers makes.
func offsets(from, to int64) (all []string) {
	b := numbers("", from, to)
	r := batch.Read(b.Frame)
	for item, _, ok := r.Next(); ok; item, _, ok = r.Next() {
		all = append(all, string(item))
	}
	return all
}
