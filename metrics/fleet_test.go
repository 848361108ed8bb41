package metrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A namespace has the state that a test has given it, from the next call of show on.
type namespace struct {
	executor.Inspector
	state  inspect.Snapshot // only the test uses it, and failed
	failed error

	mu    sync.Mutex
	shown inspect.Snapshot
	err   error
}

func (n *namespace) show() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shown, n.err = n.state, n.failed
	n.shown.Stages, n.shown.Queues = slices.Clone(n.state.Stages), slices.Clone(n.state.Queues)
}

func (n *namespace) Snapshot(context.Context) (inspect.Snapshot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shown, n.err
}

func (n *namespace) Errors(context.Context) ([]inspect.ErrorGroup, error) { return nil, nil }

func (n *namespace) Server(context.Context) (inspect.Server, error) {
	return inspect.Server{Memory: 3 << 20, MaxMemory: 4 << 20, Clients: 7}, nil
}

// A scraper scrapes the metrics of a namespace in virtual time.
type scraper struct {
	t        *testing.T
	n        *namespace
	fleet    *Fleet
	registry *prometheus.Registry
}

// scrape gathers the metrics after the next read.
func (s scraper) scrape() map[string]float64 {
	s.t.Helper()
	s.n.show()
	<-time.After(10 * time.Second)
	synctest.Wait()
	return values(s.t, s.registry)
}

// values gathers metrics by name and labels. A histogram has the number of its items.
func values(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			found[strings.TrimPrefix(f.GetName(), "dqbridge_")+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return found
}

// inVirtualTime runs a test with the metrics of a namespace.
func inVirtualTime(t *testing.T, test func(s scraper), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{}
		fleet, err := NewFleet(t.Context(), n, nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer fleet.Close()
		s := scraper{t, n, fleet, prometheus.NewPedanticRegistry()}
		s.registry.MustRegister(fleet)
		test(s)
	})
}

// stage returns a stage of a queue of its own.
func stage(id string, done int64) inspect.Stage {
	return inspect.Stage{ID: id, Kind: "map", Function: "f", In: []string{"in." + id}, Out: []string{id}, Done: done, Workers: 1, RecentDone: done}
}

// planted is a state in which each metric of a fleet has a value.
func planted() inspect.Snapshot {
	at := time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC)
	return inspect.Snapshot{
		At: at, Letters: 3, WorkerDeaths: 2,
		Queues: []inspect.Queue{
			{Name: "orders", State: "open", Waiting: 5, Delayed: 1, Suspects: 1, Max: 5, Full: true, Bytes: 50, Added: 40, Fused: 2, Dropped: 4, Oldest: at.Add(-time.Minute)},
			{Name: "paid", State: "open", Running: 2},
			{Name: "scatter.0123abcd-0123", Owner: "x", State: "ended", Waiting: 7},
			{Name: "slow.0123abcd-0124", Owner: "x", State: "ended", Requeued: 1},
			{Name: "scatter.0123abcd-0125", Owner: "y", Waiting: 8},
			{Name: "slow.0123abcd-0126", Owner: "y"},
		},
		Sources: []inspect.Source{{Name: "a", Queue: "orders", Stored: 30, Waited: 0.1}, {Name: "b", Queue: "orders", Stored: 12, Waited: 0.4}},
		Gathers: []inspect.Gather{{
			Queue: "paid", State: inspect.Reader, Delivered: 9, Held: 2, Reader: 0.25,
			Delivery: &inspect.Histogram{Count: 8, Sum: 20 * time.Second, Times: []inspect.Bucket{{UpperSeconds: 2, Count: 5}, {UpperSeconds: 4, Count: 3}}},
		}},
		Stages: []inspect.Stage{
			{
				ID: "paid", Kind: "map", Function: "pay", In: []string{"orders"}, Out: []string{"paid"}, Others: 1, Paused: false, Done: 20, Failed: 4, Retried: 6,
				Lost: 1, Batches: 9, Spent: 13 * time.Second, Busy: 14 * time.Second, Full: time.Second,
				Times: []inspect.Bucket{{UpperSeconds: 0.25, Count: 20}, {UpperSeconds: 1.189207115002721, Count: 6}},
				Wait:  &inspect.Histogram{Count: 21, Sum: 42 * time.Second, Times: []inspect.Bucket{{UpperSeconds: 1, Count: 11}, {UpperSeconds: 4, Count: 10}}},
			},
			{ID: "slow.0123abcd-0124", Kind: "map", Function: "slow", In: []string{"scatter.0123abcd-0123"}, Out: []string{"slow.0123abcd-0124"}, Done: 1, Workers: 1, Rate: 0.5, Recent: inspect.Work{Done: 15, Length: 30 * time.Second}},
			{ID: "slow.0123abcd-0126", Kind: "map", Function: "slow", In: []string{"scatter.0123abcd-0125"}, Out: []string{"slow.0123abcd-0126"}, Done: 2, Workers: 2, Paused: true, Pause: &inspect.Pause{}},
		},
		Workers: []inspect.Worker{
			{ID: "w", State: inspect.Live, Concurrency: 4, Stuck: 1, Running: []inspect.Call{{Stage: "paid", Function: "pay", Since: at.Add(-90 * time.Second)}}},
			{ID: "v", State: inspect.Silent, Concurrency: 4},
		},
		Executors: []inspect.Process{{ID: "x", State: inspect.Late}},
	}
}

func TestFleetExportsTheNamespace(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		if got := s.scrape(); got["redis_up{}"] != 1 || got["workers{state=live}"] != 0 {
			t.Errorf("an empty namespace has %v", got)
		}
		s.n.state = planted()
		got := s.scrape()
		if problems, err := testutil.GatherAndLint(s.registry); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
		for name, want := range map[string]float64{
			"items_total{function=pay,result=ok,stage=paid}": 16, "items_total{function=pay,result=failed,stage=paid}": 4,
			"lost_items_total{function=pay,stage=paid}": 1, "retries_total{function=pay,stage=paid}": 6, "batches_total{function=pay,stage=paid}": 9,
			"item_duration_seconds{function=pay,stage=paid}": 26, "item_wait_seconds{function=pay,stage=paid}": 21, "slot_seconds_total{function=pay,stage=paid,state=busy}": 14,
			"slot_seconds_total{function=pay,stage=paid,state=full}": 1, "longest_running_seconds{function=pay,stage=paid}": 90,
			"stage_workers{function=pay,stage=paid}": 0, "stage_paused{function=slow,reason=operator,stage=_unnamed}": 1, "stage_stuck{function=pay,reason=other_types,stage=paid}": 1,
			"queue_items{flow=orders,queue=orders,state=waiting}": 5, "queue_items{flow=orders,queue=orders,state=suspect}": 1,
			"queue_items{flow=orders,queue=paid,state=running}": 2, "queue_bytes{flow=orders,queue=orders}": 50, "queue_full{flow=orders,queue=orders}": 1,
			"queue_oldest_seconds{flow=orders,queue=orders}": 60, "queue_limit_items{flow=orders,queue=orders}": 5,
			"queue_added_items_total{flow=orders,queue=orders}": 42, "queue_dropped_items_total{flow=orders,queue=orders}": 4,
			"source_stored_items_total{flow=orders,queue=orders}": 42, "source_wait_share{flow=orders,queue=orders}": 0.4,
			"gather_delivered_items_total{flow=orders,queue=paid}": 9, "gather_reader_share{flow=orders,queue=paid}": 0.25, "gather_held_items{flow=orders,queue=paid}": 2,
			"delivery_seconds{flow=orders,queue=paid}": 8,
			"flow_eta_seconds{flow=slow}":              14,
			// Flows without names have one series for each chain of functions.
			"items_total{function=slow,result=ok,stage=_unnamed}": 3, "stage_workers{function=slow,stage=_unnamed}": 1,
			"queue_items{flow=slow,queue=_unnamed,state=waiting}": 15, "queue_items{flow=slow,queue=_unnamed,state=requeued}": 1,
			"workers{state=live}": 1, "workers{state=silent}": 1, "executors{state=late}": 1, "slots{}": 4, "abandoned_slots{}": 1, "dead_letters{}": 3, "worker_deaths_total{}": 2,
			"redis_memory_bytes{}": 3 << 20, "redis_memory_limit_bytes{}": 4 << 20, "redis_connections{}": 7,
		} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %v (exported: %v), want %v", name, value, ok, want)
			}
		}
		for _, f := range s.fleet.families.all() {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return strings.HasPrefix("dqbridge_"+name, f.name+"{") }) {
				t.Errorf("%s is described and has no value", f.name)
			}
		}
	})
}

// A namespace that cannot be read is not exported as it was long ago.
func TestOldReadsAreNotExported(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		s.n.state = planted()
		s.scrape()
		s.n.failed = errors.New("away")
		got := s.scrape()
		if _, there := got["dead_letters{}"]; !there || got["redis_up{}"] != 0 || got["snapshot_age_seconds{}"] == 0 {
			t.Errorf("after one failed read: %v", got)
		}
		s.scrape()
		s.scrape()
		if got := s.scrape(); len(got) != 3 || got["snapshot_age_seconds{}"] < 30 || got["redis_up{}"] != 0 {
			t.Errorf("after 40 s without a read: %v", got)
		}
		s.n.failed = nil
		if got := s.scrape(); got["dead_letters{}"] != 3 || got["redis_up{}"] != 1 {
			t.Errorf("after a read: %v", got)
		}
	})
}

func TestSeriesOfDeletedStagesVanish(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		s.n.state = planted()
		before := s.scrape()
		for i := range int64(1000) {
			s.n.state.Stages = append(s.n.state.Stages, stage(fmt.Sprint("s", i), i))
			s.n.state.Queues = append(s.n.state.Queues, inspect.Queue{Name: fmt.Sprint("s", i), Added: i})
		}
		if got := s.scrape(); len(got) < len(before)+1000*10 {
			t.Errorf("%d series with a thousand stages more than the %d", len(got), len(before))
		}
		s.n.state = planted()
		if got := s.scrape(); !maps.Equal(got, before) {
			t.Errorf("%d series are left of %d", len(got), len(before))
		}
		if n := len(s.fleet.stages.tallies) + len(s.fleet.queues.tallies); n != 5 {
			t.Errorf("%d tallies are left", n)
		}
	})
}

// Stages without series of their own are summed, and no counter decreases or jumps when one of them
// comes, goes or becomes active.
func TestOtherStagesAreSummed(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		const rest = "items_total{function=,result=ok,stage=_other}"
		check := func(what string, want map[string]float64) {
			t.Helper()
			got := s.scrape()
			for name, value := range want {
				if n, ok := got[name]; n != value || ok != (value > 0) {
					t.Errorf("%s: %s is %v, want %v", what, name, n, value)
				}
			}
		}
		a, c := "items_total{function=f,result=ok,stage=a}", "items_total{function=f,result=ok,stage=c}"
		s.n.state.Stages = []inspect.Stage{stage("a", 100), stage("b", 50), stage("c", 7), stage("d", 9)}
		check("at first", map[string]float64{a: 100, rest: 16, c: 0})
		s.n.state.Stages[2].Done, s.n.state.Stages[2].RecentDone = 1007, 1000
		check("an active stage does not displace another one", map[string]float64{a: 100, rest: 1016, c: 0})
		s.n.state.Stages = slices.Delete(s.n.state.Stages, 3, 4)
		check("a stage of the rest goes", map[string]float64{rest: 1016})
		s.n.state.Stages[0].Done = 60
		check("a stage is made again under its name", map[string]float64{a: 160})
		s.n.state.Stages = append(s.n.state.Stages[1:], stage("e", 3))
		check("the most active one gets the free series", map[string]float64{a: 0, c: 1007, rest: 1019})
	}, MaxSeries(2))
}

// A scrape sends no command to Redis.
func TestScrapeSendsNothing(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	var sent atomic.Int64
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return countedConn{conn, &sent}, err
	}
	o, err := executor.NewInspector(t.Context(), server.URL()+"/?ns="+testkit.Namespace(t), executor.Dialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	fleet, err := NewFleet(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.watcher.First(t.Context()); err != nil {
		t.Fatal(err)
	}
	fleet.Close() // no more reads
	registry := prometheus.NewRegistry()
	registry.MustRegister(fleet)
	before := sent.Load()
	for range 20 {
		if got := values(t, registry); got["redis_up{}"] != 1 {
			t.Fatalf("the metrics are %v", got)
		}
	}
	if after := sent.Load(); before == 0 || after != before {
		t.Errorf("%d requests before the scrapes, %d after", before, after)
	}
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.sent.Add(1)
	return c.Conn.Write(p)
}

// Both forms of a histogram have the same items at each power of two.
func TestHistogramsHaveBothForms(t *testing.T) {
	t.Parallel()
	n := make([]int64, lastBucket-firstBucket+1)
	n[bucketOf(1)-firstBucket], n[bucketOf(1.1892)-firstBucket], n[0], n[len(n)-1] = 5, 2, 1, 3
	to := make(chan prometheus.Metric, 1)
	newFamily(histogramType, "x", "x").sendHistogram(to, n, 9*time.Second)
	var m dto.Metric
	if err := (<-to).Write(&m); err != nil {
		t.Fatal(err)
	}
	h := m.GetHistogram()
	if h.GetSampleCount() != 11 || h.GetSampleSum() != 9 || h.GetSchema() != 2 || h.CreatedTimestamp != nil {
		t.Errorf("the histogram is %v", h)
	}
	for _, b := range h.GetBucket() {
		want := uint64(1)
		if b.GetUpperBound() >= 1 {
			want = 6
		}
		if b.GetUpperBound() >= 2 {
			want = 8
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("le %v has %d items, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
	index, total, spans := int32(0), int64(0), map[int32]int64{}
	for _, span := range h.GetPositiveSpan() {
		index += span.GetOffset()
		for range span.GetLength() {
			total += h.GetPositiveDelta()[0]
			h.PositiveDelta = h.PositiveDelta[1:]
			spans[index] = total
			index++
		}
	}
	if spans[0] != 5 || spans[1] != 2 || spans[firstBucket] != 1 || spans[lastBucket] != 3 {
		t.Errorf("the native buckets are %v", spans)
	}
}
