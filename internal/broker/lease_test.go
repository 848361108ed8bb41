package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

const lease = 10 * time.Second

// A lab is a broker in virtual time with a network that can be interrupted.
type lab struct {
	c    *broker.Client
	gate *gate
}

// inLab runs a test in a bubble.
func inLab(t *testing.T, test func(t *testing.T, l lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		defer server.Close()
		gate := &gate{open: make(chan struct{})}
		close(gate.open)
		c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			return gatedConn{conn, gate}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, lab{c, gate})
	})
}

// A gate is closed while no request reaches the server.
type gate struct {
	mu   sync.Mutex
	open chan struct{}
	line time.Duration // delay of each request
}

func (g *gate) shut() {
	g.mu.Lock()
	g.open = make(chan struct{})
	g.mu.Unlock()
}

func (g *gate) slow(line time.Duration) {
	g.mu.Lock()
	g.line = line
	g.mu.Unlock()
}

func (g *gate) delay() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.line
}

func (g *gate) pass() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) Write(b []byte) (int, error) {
	if line := c.gate.delay(); line > 0 {
		<-time.After(line)
	}
	select {
	case <-c.gate.pass():
		return c.Conn.Write(b)
	case <-time.After(time.Second):
		return 0, errors.Join(os.ErrDeadlineExceeded, c.Close())
	}
}

// after waits in virtual time.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test is over")
	}
}

// beating sends heartbeats of a process until stop is called, which returns their error.
func (l lab) beating(t *testing.T, r broker.Role, id string) (stop func() error) {
	t.Helper()
	if err := l.c.Join(t.Context(), r, id, map[string]string{"host": "h"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	beats := l.c.Lease(r, id, lease)
	go func() {
		defer beats.Close()
		tick := time.NewTicker(lease / 5)
		defer tick.Stop()
		for {
			if _, err := beats.Beat(ctx); err != nil {
				ended <- err
				return
			}
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() error {
		cancel()
		err := <-ended
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}

func (l lab) live(t *testing.T, r broker.Role) (ids []string) {
	t.Helper()
	live, err := l.c.Processes(t.Context(), r, lease)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range live {
		ids = append(ids, p.ID)
	}
	return ids
}

// A Lease sends the connection of its process once, and again after a heartbeat that may not have arrived or a
// new card.
func TestLeaseSendsItsConnectionOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		must[any](t)(nil, c.Join(t.Context(), broker.RoleWorker, "w1", nil))
		beats := c.Lease(broker.RoleWorker, "w1", lease)
		defer beats.Close()
		sent := func() bool {
			t.Helper()
			must[broker.HeartbeatReply](t)(beats.Beat(t.Context()))
			return must[int64](t)(c.Raw().HDel(t.Context(), c.Key("w:w1"), "conn").Result()) == 1
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		first, second := sent(), sent()
		_, err := beats.Beat(canceled)
		if third := sent(); !first || second || !third || err == nil {
			t.Errorf("sent: %v, %v, %v behind a heartbeat that ends with %v", first, second, third, err)
		}
		must[any](t)(nil, c.Raw().ZRem(t.Context(), c.Key("workers"), "w1").Err())
		if _, err := beats.Beat(t.Context()); !errors.Is(err, broker.ErrFenced) {
			t.Errorf("without its registration: %v", err)
		}
		must[any](t)(nil, c.Join(t.Context(), broker.RoleWorker, "w1", nil))
		if !sent() {
			t.Error("the connection is missing on the card of a process that has joined again")
		}
	})
}

// If connections were lost, Redis may have gone back to an earlier card: the Lease sends its connection again.
func TestLeaseSendsItsConnectionAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		var open []net.Conn
		c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			open = append(open, conn)
			return conn, err
		}})
		c = opened(t, c, err)
		must[any](t)(nil, c.Join(t.Context(), broker.RoleWorker, "w1", nil))
		beats := c.Lease(broker.RoleWorker, "w1", time.Hour)
		defer beats.Close()
		must[broker.HeartbeatReply](t)(beats.Beat(t.Context()))
		must[int64](t)(c.Raw().HDel(t.Context(), c.Key("w:w1"), "conn").Result())
		for _, conn := range open {
			_ = conn.Close()
		}
		for range 2 { // the first one meets the closed connection
			must[broker.HeartbeatReply](t)(beats.Beat(t.Context()))
		}
		if !must[bool](t)(c.Raw().HExists(t.Context(), c.Key("w:w1"), "conn").Result()) {
			t.Error("the connection is missing on the card")
		}
	})
}

func TestStoppedWorkerIsFencedAndRequeued(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		f := makeFlow(t, l.c, 0)
		stop := []func() error{l.beating(t, broker.RoleWorker, "w2"), l.beating(t, broker.RoleWorker, "w3"), l.beating(t, broker.RoleExecutor, "x1")}
		stopped := l.c.Lease(broker.RoleWorker, "w1", lease)
		if pulse, err := stopped.Beat(t.Context(), "done", 7); err != nil || pulse.Workers != 3 {
			t.Fatalf("%+v, %v", pulse, err)
		}
		must[broker.Scattered](t)(l.c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, large(1))}}))
		entries := f.takeAll(t, l.c, "w1")
		after(t, lease-lease/4)
		if back := f.takeAll(t, l.c, "w2"); len(back) != 0 || len(l.live(t, broker.RoleWorker)) != 3 {
			t.Fatalf("w1 is dead too early: %+v", back)
		}
		after(t, 2*lease) // w1 may have been the watcher
		back := f.takeAll(t, l.c, "w2")
		if len(back) != 2 || back[0].Crashes != 1 || back[1].Crashes != 1 || back[0].Kind != broker.Returned || texts(back[1].Batch)[0] != large(1) {
			t.Fatalf("what w1 held is %+v", back)
		}
		if s := must[broker.Survey](t)(l.c.Survey(t.Context())); s.Deaths != 1 {
			t.Errorf("%d workers were declared dead", s.Deaths)
		}
		if _, err := stopped.Beat(t.Context()); !errors.Is(err, broker.ErrFenced) {
			t.Fatalf("w1 goes on: %v", err)
		}
		// It reads once more before its heartbeat is refused; that entry is requeued too.
		must[broker.Scattered](t)(l.c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 2, "late")}}))
		if late := f.takeAll(t, l.c, "w1"); len(late) != 1 {
			t.Fatalf("w1 reads %+v", late)
		}
		after(t, 6*lease)
		if late := f.takeAll(t, l.c, "w2"); len(late) != 1 || late[0].First != 2 || late[0].Crashes != 1 {
			t.Fatalf("what w1 read late is %+v", late)
		}
		outcomes := must[[]broker.Outcome](t)(l.c.Complete(t.Context(), f.whole(entries)))
		if outcomes[0] != broker.Superseded || outcomes[1] != broker.Superseded {
			t.Fatalf("w1 completes %v", outcomes)
		}
		after(t, lease)
		if n := l.c.Raw().HLen(t.Context(), l.c.Key("fenced")).Val(); n != 0 {
			t.Errorf("%d dead are remembered for ever", n)
		}
		for _, stop := range stop {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOutageEndsNoProcess(t *testing.T) {
	for _, outage := range []time.Duration{lease / 2, lease * 7 / 10, lease * 9 / 10, lease, 3 * lease} {
		for phase := time.Duration(0); phase < lease/broker.Beats; phase += lease / 100 {
			t.Run(fmt.Sprint(outage, phase), func(t *testing.T) {
				inLab(t, func(t *testing.T, l lab) {
					t.Helper()
					var stop []func() error
					for i := range 4 {
						stop = append(stop, l.beating(t, broker.RoleWorker, fmt.Sprint("w", i)))
						after(t, lease/30)
					}
					after(t, lease+phase)
					l.gate.shut()
					after(t, outage)
					close(l.gate.open)
					after(t, 2*lease)
					if live := l.live(t, broker.RoleWorker); len(live) != 4 {
						t.Errorf("after an outage of %v only %q live", outage, live)
					}
					for _, stop := range stop {
						if err := stop(); err != nil {
							t.Error(err)
						}
					}
				})
			})
		}
	}
}

func TestQueuesOfDeadExecutorAreDeletedAfterGrace(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleWorker, "w2")
		f := makeFlow(t, l.c, 0) // x1 has joined, and never beats
		if _, _, err := l.c.Declare(t.Context(), broker.Queue{Name: "stays"}); err != nil {
			t.Fatal(err)
		}
		must[broker.Scattered](t)(l.c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, large(1))}}))
		after(t, 5*time.Minute)
		if names := must[[]string](t)(l.c.Queues(t.Context())); len(names) != 3 || len(l.live(t, broker.RoleExecutor)) != 0 {
			t.Fatalf("within the grace there are %q", names)
		}
		after(t, 6*time.Minute)
		if names := must[[]string](t)(l.c.Queues(t.Context())); len(names) != 1 || names[0] != "stays" {
			t.Fatalf("after the grace there are %q", names)
		}
		if n := l.c.Raw().Exists(t.Context(), l.c.Key("stages"), l.c.Key("own:x1"), l.c.Key("s:s1"), l.c.Key("q:a"), l.c.Key("r:b")).Val(); n != 0 {
			t.Errorf("%d keys are left", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// An executor that leaves has cleaned up after itself, even if it was declared dead. Entries that a
// dead worker may have read are still requeued.
func TestLeftExecutorNeedsNoCleanUp(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		if err := c.Raw().HSet(t.Context(), c.Key("fenced"), "e:x1", 1, "w:w1", 1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Leave(t.Context(), broker.RoleExecutor, "x1"), c.Leave(t.Context(), broker.RoleWorker, "w1")); err != nil {
			t.Fatal(err)
		}
		if left := c.Raw().HKeys(t.Context(), c.Key("fenced")).Val(); !slices.Equal(left, []string{"w:w1"}) {
			t.Errorf("still to be buried: %v", left)
		}
	})
}
