package chaos

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

var (
	long = flag.Bool("long", false, "the long forms, which print figures")
	seed = flag.Uint64("seed", 0, "of the faults; a random one if it is 0")
)

// A scenario is a flow with its faults.
type scenario struct {
	name   string
	title  string // in the table
	strike func(*flow)
	every  time.Duration
	short  int // faults of the short form; 0: there is none
	long   int
	least  int64 // smallest number of items of the long form
	rate   int64 // items per second of a producer
	max    int   // bound of the items in each queue; 0: none
	lease  time.Duration
	both   string // the process that is both ends; "": two producers and a gather share a named queue
	manual bool   // the gather acknowledges an item after recording it
	mortal bool   // producers with sources that are not durable
	disk   string // appendfsync of the server; "": no log
	// victims is how many workers a fault may cause to be declared dead.
	victims int
	losses  int64 // items that may be lost, if errors report them
}

func (s scenario) items() int64 {
	if *long {
		return s.least
	}
	return 0
}

func (s scenario) times() int {
	if *long {
		return s.long
	}
	return s.short
}

// calm is a lease longer than every fault: a process without a fault is not declared dead, however
// slow the machine is.
const calm = 10 * time.Second

// The default lease is half a second, and the default rate 20,000 items per second.
func scenarios() []scenario {
	const (
		ms     = time.Millisecond
		always = "always"
	)
	return []scenario{
		{name: "quiet", title: "no fault", strike: nothing, every: 500 * ms, short: 2, long: 10, lease: calm},
		{name: "killed-workers", title: "kill -9 of a worker each 200 ms", strike: killWorker, every: 200 * ms, short: 8, long: 200, least: 1_000_000, victims: 1},
		{name: "killed-worker", title: "kill -9 of a worker, lease 1 s", strike: killWorker, every: 4 * time.Second, long: 20, lease: time.Second, victims: 1},
		{name: "killed-worker-of-10s", title: "kill -9 of a worker, lease 10 s (default)", strike: killWorker, every: 10 * time.Second, long: 20, rate: 2000, lease: calm, victims: 1},
		{name: "stopped-workers", title: "SIGSTOP of a worker for 3 to 4 leases, SIGCONT", strike: stopWorker, every: 100 * ms, short: 2, long: 50, victims: 1},
		{name: "drained-workers", title: "SIGTERM of a worker", strike: drainWorker, every: 100 * ms, short: 10, long: 100, lease: calm},
		{name: "cut-replies", title: "a script runs, its reply is lost", strike: cutReply, every: 10 * ms, short: 60, long: 1000, lease: calm},
		{name: "cut-replies-bounded", title: "the same, queues bounded at 1,000 items", strike: cutReply, every: 10 * ms, short: 60, long: 1000, max: 1000, lease: calm, both: "bridge"},
		{name: "cut-connections", title: "all connections are cut", strike: cutAll, every: 100 * ms, short: 15, long: 200, lease: calm, both: "bridge"},
		{name: "delays", title: "no data passes for up to 0.5 s", strike: delay, every: 500 * ms, short: 4, long: 50, lease: calm},
		{name: "killed-workers-of-futures", title: "kill -9 of a worker, futures", strike: killWorker, every: 200 * ms, short: 6, long: 50, both: "futures", lease: time.Second, victims: 1},
		{name: "cut-replies-of-futures", title: "a script runs, its reply is lost, futures", strike: cutReply, every: 10 * ms, short: 60, long: 500, both: "futures", lease: calm},
		{name: "restarts-of-futures", title: "kill -9 of Redis and restart, futures", strike: restart, every: time.Second, short: 1, long: 10, both: "futures", disk: always, lease: calm},
		{name: "killed-gathers", title: "kill -9 of the gather, and a successor", strike: killGather, every: 500 * ms, short: 2, long: 20, victims: fleetSize},
		{name: "killed-gathers-by-hand", title: "the same, with ManualAck", strike: killGather, every: 500 * ms, short: 2, long: 20, manual: true, victims: fleetSize},
		{name: "killed-producers", title: "kill -9 of a producer, and a successor of its name", strike: killProducer, every: 300 * ms, short: 4, long: 50, victims: fleetSize},
		{name: "restarts", title: "kill -9 of Redis and restart, appendfsync always", strike: restart, every: time.Second, short: 2, long: 20, disk: always, rate: 5000, lease: calm},
		{name: "restarts-everysec", title: "kill -9 of Redis and restart, appendfsync everysec", strike: restart, every: time.Second, long: 10, disk: "everysec", rate: 5000, lease: calm, victims: fleetSize, losses: 1 << 20},
		{name: "rollbacks", title: "kill -9 of Redis, and its last writes are gone", strike: rollBack, every: 3 * time.Second, short: 1, long: 10, disk: always, rate: 2000, lease: calm, victims: fleetSize, losses: 1 << 20},
		{name: "everything", title: "all of these at random", strike: anything, every: 150 * ms, short: 14, long: 400, disk: always, rate: 5000, max: 5000, manual: true, victims: fleetSize},
	}
}

func TestChaos(t *testing.T) {
	all := scenarios()
	rows := make(table, len(all))
	for i, s := range all {
		s.lease = cmp.Or(s.lease, 500*time.Millisecond)
		s.rate = cmp.Or(s.rate, 20_000)
		if s.times() == 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if !*long { // measured figures need the machine to themselves
				t.Parallel()
			}
			rows[i] = run(t, s)
		})
	}
	if *long {
		fmt.Print(rows)
	}
}

func run(t *testing.T, s scenario) row {
	chosen := cmp.Or(*seed, rand.Uint64())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with: go test ./integration/chaos -run 'TestChaos/%s$' -count=1 -seed=%d -long=%v", s.name, chosen, *long)
		}
	})
	began := time.Now()
	f := begin(t, s, chosen)
	f.storm()
	f.finish()
	took := time.Since(began)
	left := f.leave()

	b := bounds{extra: int64(f.strikes * s.victims * mayHold), interrupted: f.interrupted, told: s.losses}
	if s.manual {
		b.interrupted = 0
	}
	c := f.check(b, left)
	r := row{title: s.title, strikes: f.strikes, verdict: c.verdict, took: took, pauses: c.pauses()}
	t.Logf("%v, %d suspect entries, at most %d MiB in a process and %d in Redis", r, f.alone, f.peaks.process>>10, f.peaks.redis>>10)
	return r
}

// If a producer dies whose source is not durable, the stream yields all stored items and ends with
// an error.
func TestKilledProducerTruncatesStream(t *testing.T) {
	t.Parallel()
	f := begin(t, scenario{lease: 500 * time.Millisecond, rate: 5000, mortal: true, victims: fleetSize}, 0)
	f.seal()
	f.feeds[1].end(t)
	f.feeds[1].join(f)
	f.feeds[0].kill()
	f.killed++
	f.book.write(record{event: kept, source: 1, offset: f.storedOfCut()})
	if err := f.sink.wait(f); err == nil {
		t.Error("the gather has ended as if nothing was missing")
	}
	if text, err := os.ReadFile(f.sink.log.Name()); err != nil || !strings.Contains(string(text), executor.ErrTruncated.Error()) {
		t.Errorf("the gather does not tell that the stream was cut: %v\n%s", err, text)
	}
	f.check(bounds{extra: fleetSize * mayHold, cut: 1}, f.leave())
}

// storedOfCut returns the number of stored items of the source without an end.
func (f *flow) storedOfCut() (items int64) {
	f.t.Helper()
	client, ctx := f.client(), f.t.Context()
	defer client.Close()
	testkit.Eventually(f.t, func() bool {
		for _, name := range client.ZRange(ctx, "{dq:0}:src:"+queueName, 0, -1).Val() {
			source := client.HGetAll(ctx, "{dq:0}:s:"+name).Val()
			if source["cut"] != "" {
				items, _ = strconv.ParseInt(source["stored"], 10, 64)
				return true
			}
		}
		return false
	}, "the source of the dead is given up")
	return items
}

// mayHold is how many items a worker may have run and not yet committed: for each slot, 18 batches
// that wait for the completer and one in the slot. A batch is about 8 ms of work, which is 50 items
// here, and never more than 128. If both stages are fused, both have run.
const mayHold = (18 + 1) * slots * 128 * stages

// mayUse is the memory in KiB that a process of the project, and Redis, may use. The race detector
// takes most of it.
const mayUse = 512 << 10
