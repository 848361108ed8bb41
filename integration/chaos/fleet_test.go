package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Many workers of a fleet with many stages die at once. All are declared dead, and the other
// workers run their entries. The long form prints the time and the load of Redis.
func TestManyDeathsAtOnce(t *testing.T) {
	sizes := [][3]int{{2, 10, 100}}
	if *long {
		sizes = [][3]int{{10, 100, 300}, {10, 150, 3000}}
	}
	for _, size := range sizes {
		running, dead, stages := size[0], size[1], size[2]
		t.Run(fmt.Sprintf("%d-of-%d-stages", dead, stages), func(t *testing.T) {
			f := newFleet(t, running, stages)
			var before float64
			if *long {
				<-time.After(10 * time.Second) // until all workers block
				before = f.load(10 * time.Second)
			}
			f.die(dead)
			began, spent := time.Now(), f.cpu()
			testkit.Eventually(t, func() bool {
				entries, _ := f.left()
				return entries == 0 && f.raw.ZCard(t.Context(), "{dq:0}:workers").Val() == int64(running)
			}, "the dead are found, and the others have run what they held")
			took := time.Since(began)
			if !*long {
				return
			}
			share := (f.cpu() - spent).Seconds() / took.Seconds()
			text := fmt.Sprintf("%d of %d workers die, %d stages: found and done after %.1f s; share of Redis %.3f before, %.3f until then",
				dead, dead+running, stages, took.Seconds(), before, share)
			for range 7 {
				text += fmt.Sprintf(", %.3f", f.load(10*time.Second))
			}
			fmt.Println(text + " in the 70 s after that")
		})
	}
}

// A whole fleet ends at once while each worker runs an item. Each worker requeues its item and
// leaves the registry, for any number of stages.
func TestFleetEndsAtOnce(t *testing.T) {
	ends, stages := 10, 30
	if *long {
		ends, stages = 200, 1000
	}
	f := newFleet(t, 1, stages)
	f.start(ends)
	for i := range ends + 1 {
		f.add(fmt.Sprint("s", i), f.queues[i*stages/(ends+1)], forever, func(redis.Pipeliner) {})
	}
	testkit.Eventually(t, func() bool { _, holders := f.left(); return len(holders) == ends+1 }, "each worker runs an item")
	began, spent := time.Now(), f.cpu()
	f.stop(ends)
	took := time.Since(began)
	if n := f.raw.ZCard(t.Context(), "{dq:0}:workers").Val(); n != 1 {
		t.Errorf("%d workers are in the registry, and one runs", n)
	}
	if n, holders := f.left(); n != int64(ends+1) || len(holders) != 1 {
		t.Errorf("%d of %d entries are left, of which %d workers hold some", n, ends+1, len(holders))
	}
	if *long {
		fmt.Printf("%d workers end with %d stages in %.1f s, %.2f s of Redis; %d leave their names to the watcher\n",
			ends, stages, took.Seconds(), (f.cpu() - spent).Seconds(), f.raw.HLen(t.Context(), "{dq:0}:fenced").Val())
	}
}

// The function of a fleet runs for the item forever until its context ends, and returns at once for
// other items.
const forever = 0

// A fleet is a set of running workers with stages of one queue each.
type fleet struct {
	t       *testing.T
	c       *broker.Client
	raw     *redis.Client
	queues  []broker.Queue
	running []func() error // each ends one worker
}

// newFleet starts workers that have stages.
func newFleet(t *testing.T, running, stages int) *fleet {
	t.Helper()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, c: c, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})}
	for i := range stages {
		q, _, err := c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i), Codec: "json", Type: "int"})
		if err == nil {
			err = c.Stage(t.Context(), broker.Stage{ID: q.Name, Kind: broker.KindFuture, Function: "f", InCodec: "json", InType: "int",
				OutCodec: "json", OutType: "int", Ins: []broker.Queue{q}, TTL: time.Minute})
		}
		if err != nil {
			t.Fatal(err)
		}
		f.queues = append(f.queues, q)
	}
	f.start(running)
	t.Cleanup(func() {
		f.stop(len(f.running))
		_, _ = f.raw.Close(), c.Close()
	})
	return f
}

// start starts workers.
func (f *fleet) start(n int) {
	f.t.Helper()
	wait := workers.Define("f", func(ctx context.Context, x int) (int, error) {
		if x == forever {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return x, nil
	})
	for range n {
		w, err := workers.New("redis://"+f.raw.Options().Addr, workers.Functions(wait), workers.Concurrency(1), workers.DrainTimeout(0))
		if err != nil {
			f.t.Fatal(err)
		}
		ctx, stop := context.WithCancel(f.t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
		f.running = append(f.running, func() error { stop(); return <-ended })
	}
}

// stop ends the n workers started last, concurrently.
func (f *fleet) stop(n int) {
	f.t.Helper()
	var group errgroup.Group
	for _, stop := range f.running[len(f.running)-n:] {
		group.Go(stop)
	}
	f.running = f.running[:len(f.running)-n]
	if err := group.Wait(); err != nil {
		f.t.Error(err)
	}
}

// cpu returns the processor time of Redis so far.
func (f *fleet) cpu() (sum time.Duration) {
	f.t.Helper()
	for line := range strings.Lines(f.raw.Info(f.t.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_user" && name != "used_cpu_sys" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			f.t.Fatal(err)
		}
		sum += time.Duration(seconds * float64(time.Second))
	}
	return sum
}

// load returns the share of one processor that Redis uses during d.
func (f *fleet) load(d time.Duration) float64 {
	f.t.Helper()
	before := f.cpu()
	<-time.After(d)
	return (f.cpu() - before).Seconds() / d.Seconds()
}

// die makes n workers join, take one item each from their own queues, and die: the connections on
// their cards are closed.
func (f *fleet) die(n int) {
	f.t.Helper()
	for i := range n {
		id, q := fmt.Sprint("dead", i), f.queues[i*len(f.queues)/n]
		conn := redis.NewClient(&redis.Options{Addr: f.raw.Options().Addr, Protocol: 2, DisableIdentity: true, PoolSize: 1})
		card := map[string]string{"host": "here", "conn": fmt.Sprint(conn.ClientID(f.t.Context()).Val())}
		if err := f.c.Join(f.t.Context(), broker.RoleWorker, id, card); err != nil {
			f.t.Fatal(err)
		}
		f.add("s-"+id, q, 1, func(p redis.Pipeliner) { // in one step, since other workers read too
			p.XReadGroup(f.t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: id, Count: 1, Streams: []string{"{dq:0}:q:" + q.Name, ">"}})
		})
		if err := conn.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// add adds an item of a new source to a queue, and runs also in the same step.
func (f *fleet) add(source string, q broker.Queue, x int, also func(redis.Pipeliner)) {
	f.t.Helper()
	s, _, err := f.c.Source(f.t.Context(), source, q, 0)
	if err == nil {
		var b batch.Builder
		b.Value(strconv.AppendInt(nil, int64(x), 10))
		_, err = f.raw.TxPipelined(f.t.Context(), func(p redis.Pipeliner) error {
			p.XAdd(f.t.Context(), &redis.XAddArgs{Stream: "{dq:0}:q:" + q.Name, Values: []any{"s", s.Name, "o", 0, "n", 1, "c", 0, "b", 0, "a", 0, "k", 0, "p", b.Take()}})
			also(p)
			return nil
		})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// left returns the number of entries in the queues, and the number held by each consumer.
func (f *fleet) left() (entries int64, holders map[string]int64) {
	f.t.Helper()
	var lengths []*redis.IntCmd
	var pending []*redis.XPendingCmd
	_, err := f.raw.Pipelined(f.t.Context(), func(p redis.Pipeliner) error {
		for _, q := range f.queues {
			for _, stream := range []string{"{dq:0}:q:" + q.Name, "{dq:0}:r:" + q.Name} {
				lengths = append(lengths, p.XLen(f.t.Context(), stream))
				pending = append(pending, p.XPending(f.t.Context(), stream, "w"))
			}
		}
		return nil
	})
	if err != nil && !broker.IsGone(err) {
		f.t.Fatal(err)
	}
	holders = map[string]int64{}
	for i, length := range lengths {
		entries += length.Val()
		if pending[i].Val() == nil { // the stream does not exist
			continue
		}
		for worker, n := range pending[i].Val().Consumers {
			holders[worker] += n
		}
	}
	return entries, holders
}
