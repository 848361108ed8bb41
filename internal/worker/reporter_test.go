package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A plant is a chain of stages whose first queue is "q0". Stage i reads q<i> and adds to q<i+1>.
type plant struct {
	brokertest.World
	stages int
}

// newPlant makes a stage for each function. The last one has retries.
func newPlant(t *testing.T, w brokertest.World, retries int, functions ...string) plant {
	t.Helper()
	in := w.Queue(t, broker.Queue{Name: "q0", Codec: "json", Type: "int"})
	for i, name := range functions {
		out := w.Queue(t, broker.Queue{Name: fmt.Sprintf("q%d", i+1), Codec: "json", Type: "int", From: []string{"q0"}, Seal: true})
		s := broker.Stage{
			ID: out.Name, Kind: broker.KindMap, Function: name, Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}},
			InCodec: "json", InType: "int", OutCodec: "json", OutType: "int", Backoff: time.Millisecond, MaxBackoff: time.Millisecond,
		}
		if i == len(functions)-1 {
			s.Retries = retries
		}
		if err := w.C.Stage(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		in = out
	}
	return plant{w, len(functions)}
}

// add adds the items [0, n) to the first queue.
func (p plant) add(t *testing.T, n int64) {
	t.Helper()
	p.addBatches(t, n, 500)
}

// addBatches adds the items [0, n) to the first queue, so many in a batch.
func (p plant) addBatches(t *testing.T, n, size int64) {
	t.Helper()
	q, err := p.C.Look(t.Context(), "q0")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := p.C.Source(t.Context(), "s", q, 0)
	if err != nil {
		t.Fatal(err)
	}
	for from := int64(0); from < n; from += size {
		b := brokertest.Numbers("s", from, min(n, from+size))
		if got, err := p.C.Scatter(t.Context(), s, "", broker.Window{}, []broker.Parcel{{Batch: b}}); err != nil || got.Full {
			t.Fatal(got, err)
		}
	}
}

// work runs a worker until the test ends.
func (p plant) work(t *testing.T, functions ...*runner.Function) *Worker {
	t.Helper()
	w, err := New("", Options{
		Client: p.C, Concurrency: 3, Drain: time.Second, Functions: functions,
		Connection: connection.Settings{Options: broker.Options{Log: slog.New(slog.DiscardHandler)}, Lease: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, w)
	return w
}

// run runs a worker until the test ends, and waits until it has joined.
func run(t *testing.T, w *Worker) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-w.Ready()
}

// results reads n items of the last queue and counts its failures.
func (p plant) results(t *testing.T, n int64) (failed int64) {
	t.Helper()
	if err := p.C.Mailbox(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	r := p.C.Reader("g", time.Second)
	defer r.Close()
	for items := int64(0); items < n; {
		entries, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: fmt.Sprintf("q%d", p.stages)}}, 100, time.Second)
		if err == nil {
			err = p.C.Fetch(t.Context(), nil, entries)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			frame := batch.Read(e.Frame)
			for _, isFailure, ok := frame.Next(); ok; _, isFailure, ok = frame.Next() {
				if items++; isFailure {
					failed++
				}
			}
		}
	}
	return failed
}

// reported waits until the reports of a stage have n items, and returns them.
func (p plant) reported(t *testing.T, stage string, n int64) broker.StageReport {
	t.Helper()
	var got broker.StageReport
	testkit.Eventually(t, func() bool {
		reports, err := p.C.Reports(t.Context(), []string{stage})
		if err != nil {
			t.Fatal(err)
		}
		got = reports[0]
		return got.Counts.Items >= n
	}, "the items are reported")
	return got
}

func defined(name string, f func(x int) (int, error)) *runner.Function {
	return runner.Define(name, func(_ context.Context, x int) (int, error) { return f(x) }, runner.Definition{}).Function()
}

func double(x int) (int, error) { return 2 * x, nil }

// At rest, the counts of each stage are those of the results.
func TestReportsEqualResults(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		const n = 20_000
		p := newPlant(t, w, 2, "fast", "slow", "failing")
		failing := func(x int) (int, error) { // twice the item of the stage before
			if x%8 == 0 {
				return 0, fmt.Errorf("order %d is bad", x)
			}
			return x, nil
		}
		slow := func(x int) (int, error) {
			if x%400 == 0 {
				<-time.After(time.Millisecond) // the time of the function
			}
			return x, nil
		}
		p.work(t, defined("fast", double), defined("slow", slow), defined("failing", failing))
		p.add(t, n)
		failed := p.results(t, n)
		for i, want := range []broker.StageCounts{{}, {}, {Failed: failed, Retried: 2 * failed}} {
			got := p.reported(t, fmt.Sprintf("q%d", i+1), n)
			c := got.Counts
			if c.Items != n || c.Failed != want.Failed || c.Retried != want.Retried || c.Lost != 0 || got.Times.Count() != n+c.Retried {
				t.Errorf("stage %d has %+v with %d times, want %d items and %+v", i, c, got.Times.Count(), n, want)
			}
			if c.Spent <= 0 || c.Busy < c.Spent || c.Batches == 0 || got.Last.IsZero() {
				t.Errorf("stage %d has %+v", i, c)
			}
			if i == 2 && (failed != n/4 || len(got.Errors) != 1 || got.Errors[0].Count != 3*failed) {
				t.Errorf("%d failures, the groups are %+v", failed, got.Errors)
			}
		}
	})
}

// The time from the queue to the call counts once for each attempt, for calls of batch functions too.
// Items that a worker passes on without the queue have none.
func TestWaitsAreThoseOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		w := brokertest.Embedded(t, server, "waits")
		const n = 300
		p := newPlant(t, w, 0, "first", "fused")
		together := runner.DefineBatch("first", func(_ context.Context, all []int) ([]int, error) { return all, nil }, runner.Definition{MaxItems: n}).Function()
		p.addBatches(t, n, 1) // no batch is divided, so none comes back
		<-time.After(time.Minute)
		p.work(t, together, defined("fused", double))
		p.results(t, n)
		first, fused := p.reported(t, "q1", n), p.reported(t, "q2", n)
		waits := first.Waits
		if waits.Count() != n || waits.Quantile(0) < 55*time.Second || waits.Quantile(1) > 70*time.Second || waits.Sum() < n*time.Minute || waits.Sum() > n*62*time.Second {
			t.Errorf("%d items waited from %v to %v, %v together", waits.Count(), waits.Quantile(0), waits.Quantile(1), waits.Sum())
		}
		if n := fused.Waits.Count(); n != 0 {
			t.Errorf("%d fused items have waited", n)
		}
	})
}

// Many failures with ids in their messages are a few groups, with exact counts.
func TestFailuresOfFewKindsAreFewGroups(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		const n, kinds = 100_000, 5
		p := newPlant(t, w, 0, "f")
		messages := []string{"order %d has no address", "no row \"%d\" in table", "timeout after %dms", "connection to 10.0.0.%d refused", "user-%d: denied"}
		p.work(t, defined("f", func(x int) (int, error) { return 0, fmt.Errorf(messages[x%kinds], x) }))
		p.add(t, n)
		if failed := p.results(t, n); failed != n {
			t.Fatalf("%d failures", failed)
		}
		got := p.reported(t, "q1", n)
		if len(got.Errors) != kinds || got.Counts.Failed != n || got.Counts.OtherErrors != 0 || got.GroupsGone != 0 {
			t.Errorf("%d groups, %+v", len(got.Errors), got.Counts)
		}
		for _, g := range got.Errors {
			if want := fmt.Sprintf(messages[g.Offset%kinds], g.Offset); g.Count != n/kinds || g.Message != want || g.Source != "s" || g.Attempt != 1 || g.Code != batch.CodeError {
				t.Errorf("a group is %+v, want the message %q", g, want)
			}
		}
	})
}

// A call that does not return is on the card of its worker, and its time is in the counts.
func TestHungItemIsShown(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		p := newPlant(t, w, 0, "f")
		release := make(chan struct{})
		p.work(t, defined("f", func(x int) (int, error) {
			if x == 7 {
				<-release
			}
			return x, nil
		}))
		p.add(t, 20)
		var item broker.RunningItem
		var card map[string]string
		testkit.Eventually(t, func() bool {
			live, err := w.C.Processes(t.Context(), broker.RoleWorker, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, process := range live {
				if items := process.Running(); len(items) == 1 {
					item, card = items[0], process.Card
				}
			}
			return card != nil
		}, "the item is on the card")
		if item.Stage != "q1" || item.Function != "f" || item.Queue != "q0" || item.Source != "s" || item.Attempt != 1 || item.For <= 1000 {
			t.Errorf("the item is %+v", item)
		}
		if item.Offset > 7 || item.Offset+int64(item.Items) <= 7 {
			t.Errorf("item 7 is not among the %d from offset %d on", item.Items, item.Offset)
		}
		testkit.Eventually(t, func() bool {
			reports, err := w.C.Reports(t.Context(), []string{"q1"})
			if err != nil {
				t.Fatal(err)
			}
			return reports[0].Counts.Busy > time.Second
		}, "the time of the running call is counted")
		if card["version"] == "" || card["started"] == "" || card["busy"] == "" {
			t.Errorf("the card is %v", card)
		}
		close(release)
		p.results(t, 20)
		got := p.reported(t, "q1", 20)
		testkit.Eventually(t, func() bool { got = p.reported(t, "q1", 20); return got.Counts.Spent > time.Second }, "the call is counted")
		if over := got.Counts.Busy - got.Counts.Spent; over < 0 {
			t.Errorf("busy %v, spent %v", got.Counts.Busy, got.Counts.Spent)
		}
	})
}

// A session without new work sends no report, and a report whose reply was lost is sent again.
func TestIdleSessionSendsNoReport(t *testing.T) {
	t.Parallel()
	server := embedded.New()
	t.Cleanup(server.Close)
	world, requests := brokertest.Metered(t, server)
	p := newPlant(t, world, 0, "f")
	w, err := New("", Options{Client: p.C, Concurrency: 1, Functions: []*runner.Function{defined("f", double)}, Connection: connection.Settings{
		Options: broker.Options{Log: slog.New(slog.DiscardHandler)}, Lease: time.Second,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := w.newSession(p.C)
	if err := p.C.Join(t.Context(), broker.RoleWorker, s.id, w.card()); err != nil {
		t.Fatal(err)
	}
	f := &fetcher{session: s, foreign: map[string]bool{}}
	routes, _, err := f.routes(t.Context(), nil, nil)
	if err != nil || len(routes) != 1 || len(s.reporter.routes) != 1 {
		t.Fatalf("%d routes, %v", len(routes), err)
	}
	sent := func(again bool) int64 {
		if again {
			s.reporter.last = time.Time{}
		}
		before := requests.Requests.Load()
		s.report(t.Context())
		return requests.Requests.Load() - before
	}
	if n := sent(true); n != 0 {
		t.Errorf("%d requests without work", n)
	}
	routes[0].record(step{Result: runner.Result{N: 4, Items: 4, Spent: time.Second, Failed: 1}}, time.Second, 10)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	s.report(canceled) // it fails
	routes[0].record(step{Result: runner.Result{N: 1, Items: 1}}, 0, 10)
	if n := sent(false); n != 0 {
		t.Errorf("%d requests before the next report is due", n)
	}
	for range 2 {
		if n := sent(true); n == 0 {
			t.Error("no report about new work")
		}
	}
	if n := sent(true); n != 0 {
		t.Errorf("%d requests without new work", n)
	}
	if got := p.reported(t, "q1", 5).Counts; got.Items != 5 || got.Failed != 1 || got.Batches != 2 || got.Bytes != 20 {
		t.Errorf("reported are %+v", got)
	}
	f.endStage(routes[0])
	if sent(true); len(s.reporter.routes) != 0 {
		t.Error("an ended route is kept")
	}
}

// The list of running items has a limited length, and those that run longest.
func TestShownItemsAreLimited(t *testing.T) {
	t.Parallel()
	s := &session{}
	epoch := time.Unix(1000, 0)
	for i := range 100 {
		h := &slot{session: s, now: runningCall{epoch: epoch}}
		h.now.route = &route{stage: broker.Stage{ID: "stage", Function: "f"}, Route: broker.Route{In: "in"}}
		h.now.begun, h.now.source = time.Duration(i)*time.Second, strconv.Itoa(i)
		h.now.Span(0, 1)
		s.slots.add(h)
	}
	text := s.runningItems(epoch.Add(100 * time.Second))
	var items []broker.RunningItem
	if err := json.Unmarshal([]byte(text), &items); err != nil || len(text) > 4<<10 || len(items) < 20 {
		t.Fatalf("%d items in %d bytes, %v", len(items), len(text), err)
	}
	for i, item := range items {
		if item.Source != strconv.Itoa(i) || item.For != int64(100-i)*1000 {
			t.Errorf("item %d is %+v", i, item)
		}
	}
	now := epoch.Add(100 * time.Second)
	s.slots.all = s.slots.all[99:]
	if text := s.runningItems(now); text != "[]" {
		t.Errorf("an item that has run for a second is shown: %s", text)
	}
	s.reporter.watched.Store(true)
	s.slots.list()[0].now.Span(5, 1)
	if text := s.runningItems(now); json.Unmarshal([]byte(text), &items) != nil || len(items) != 1 || items[0].Offset != 5 || items[0].For != 0 {
		t.Errorf("if watched, shown is %s", text)
	}
	if text := s.runningItems(now.Add(3 * time.Second)); json.Unmarshal([]byte(text), &items) != nil || items[0].For != 3000 {
		t.Errorf("three seconds later, shown is %s", text)
	}
}
