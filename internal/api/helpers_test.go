package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/api"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// at is the time of the fixed view.
var at = time.UnixMilli(1_764_446_400_000).UTC()

// views has the view that a test sets.
type views struct {
	mu      sync.Mutex
	view    watch.View
	changed chan struct{}
	looking int
}

func newViews(v watch.View) *views { return &views{view: v, changed: make(chan struct{})} }

func (s *views) Latest() (watch.View, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.changed
}

func (s *views) Look() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looking++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looking--
	}
}

func (s *views) lookers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looking
}

func (s *views) set(v watch.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	close(s.changed)
	s.changed = make(chan struct{})
}

// fixed is an Inspector with one stage, one item and one dead letter. Its other methods panic: no route
// may call them.
type fixed struct {
	executor.Inspector
	err error
}

func (f fixed) History(context.Context, string) (inspect.History, error) {
	work := func(ago, length time.Duration) inspect.Work {
		return inspect.Work{Start: at.Add(-ago), Length: length, Done: 12, Failed: 1, Busy: 6 * time.Second, Waiting: 3000, Oldest: time.Minute, Added: 4000, Fused: 10}
	}
	return inspect.History{
		Stage: "slowed", Seconds: []inspect.Work{work(6*time.Minute, 10*time.Second), work(10*time.Second, 10*time.Second)},
		Minutes: []inspect.Work{work(10*time.Minute, time.Minute)},
	}, f.err
}

func (f fixed) EndedFlows(context.Context) ([]inspect.EndedFlow, error) {
	return []inspect.EndedFlow{
		{
			Name: "orders", Chain: []string{"fast", "slow"}, Began: at.Add(-2 * time.Hour), Ended: at.Add(-time.Hour), Items: 3000, Failed: 2,
			Errors: []inspect.EndedError{{Stage: "slowed", Function: "slow", Code: "error", Message: "<b>exit status 7</b>", Count: 3}},
			Stages: []inspect.EndedStage{
				{ID: "fast-out", Kind: "map", Function: "fast", Done: 3000, P50: time.Millisecond, P99: 3 * time.Millisecond},
				{ID: "slowed", Kind: "map", Function: "slow", Done: 3000, Failed: 2, P50: 500 * time.Millisecond, P99: 540 * time.Millisecond},
			},
		},
		{
			Name: "old", Chain: []string{"copy"}, Ended: at.Add(-3 * time.Hour), Items: 2, Errors: []inspect.EndedError{},
			Stages: []inspect.EndedStage{{ID: "old-out", Kind: "copy"}}, Partition: 1,
		},
	}, f.err
}

func (f fixed) Peek(_ context.Context, queue, from string, count int) (inspect.Page, error) {
	if queue != "orders" {
		return inspect.Page{}, fmt.Errorf("peek: %w", executor.ErrQueueNotFound)
	}
	item := inspect.Item{Position: "q:1764446340000-0:1", State: inspect.Waiting, Source: "s.3737", Offset: 1, Since: at.Add(-time.Minute), Bytes: 2, Form: inspect.JSONForm, Text: "42"}
	return inspect.Page{Queue: queue, Type: "int", Codec: "json", Items: []inspect.Item{item}, Next: fmt.Sprint(from, "q:1764446340000-0:", count)}, f.err
}

func (f fixed) Where(_ context.Context, _ string, offset int64) ([]inspect.Location, error) {
	if offset > 3000 {
		return nil, fmt.Errorf("where: offset %d: source s.3737 has ended with 3000 items", offset)
	}
	by := inspect.Process{ID: "w-1", Host: "vm", PID: 3141, State: inspect.Live, Seen: at}
	return []inspect.Location{{State: inspect.Held, Queue: "orders", Text: "held by a worker, which runs it or will do so", Since: at.Add(-time.Second), By: &by}}, f.err
}

func (f fixed) DeadLetters(context.Context) iter.Seq2[executor.DeadLetter, error] {
	return func(yield func(executor.DeadLetter, error) bool) {
		d := executor.DeadLetter{ID: "1764446000000-0", At: at.Add(-time.Hour), Queue: "orders", Source: "s.1", Offset: 7, Items: 1, Crashes: 5}
		d.Workers = append(d.Workers, struct {
			ID   string    `json:"id"`
			Host string    `json:"host"`
			At   time.Time `json:"at"`
		}{"w-0", "vm", at.Add(-time.Hour)})
		d.Why = &executor.ItemError{Code: "crashed", Message: "<script>alert(1)</script>"}
		yield(d, f.err)
	}
}

// view is a namespace with a flow of two stages, whose second one is slow.
func view() watch.View {
	gather := inspect.Process{ID: "x-1", Host: "vm", PID: 3140, State: inspect.Live, Seen: at}
	call := inspect.Call{Stage: "slowed", Function: "slow", Queue: "fast-out", Source: "s.3737", Offset: 12, Items: 1, Attempt: 1, Since: at.Add(-2 * time.Second)}
	recent := inspect.Work{Start: at.Add(-30 * time.Second), Length: 30 * time.Second, Done: 360, Failed: 2, Busy: 175 * time.Second, Waiting: 2900, Oldest: 4 * time.Minute, Added: 36}
	s := inspect.Snapshot{
		At: at,
		Queues: []inspect.Queue{
			{Name: "fast-out", Type: "int", Codec: "json", State: inspect.Ended, Waiting: 41, Running: 6, Batches: 6, Added: 100, Fused: 10, Consumer: "stage:slowed", From: []string{"orders"}, Flow: "orders"},
			{Name: "orders", Type: "int", Codec: "json", State: inspect.Ended, Waiting: 2923, Added: 3000, Max: 10000, Oldest: at.Add(-4 * time.Minute), Sources: 1, Sealed: true, Consumer: "stage:fast-out", From: []string{}, Flow: "orders"},
			{Name: "other/queue", Type: "string", Codec: "raw", State: inspect.Open, From: []string{}, Flow: "other/queue"},
			{Name: "slowed", Type: "int", Codec: "json", State: inspect.Ended, Added: 36, Consumer: "gather:g-1", Gather: &gather, From: []string{"orders"}, Flow: "orders"},
		},
		Stages: []inspect.Stage{
			{ID: "fast-out", Kind: "map", Tags: []string{}, Function: "fast", In: []string{"orders"}, Out: []string{"fast-out"}, Workers: 1, Slots: 2, Done: 100, Cost: time.Millisecond, P50: time.Millisecond, P99: 2 * time.Millisecond, Last: at},
			{ID: "slowed", Kind: "map", Tags: []string{}, Function: "slow", In: []string{"fast-out"}, Out: []string{"slowed"}, Workers: 1, Slots: 2, Done: 36, Failed: 2, Spent: 18 * time.Second,
				Busy: 19 * time.Second, Cost: 500 * time.Millisecond, P50: 500 * time.Millisecond, P99: 540 * time.Millisecond, Rate: 12, RecentDone: 36, RecentFailed: 2, Recent: recent, Last: at},
		},
		Sources: []inspect.Source{{Name: "s.3737", Queue: "orders", State: inspect.Ended, Stored: 3000, End: 3000, Delivered: 36}},
		Gathers: []inspect.Gather{{Queue: "slowed", By: gather, State: inspect.Open, Delivered: 36, Wants: &inspect.Wanted{Source: "s.3737", Offset: 36, Since: at.Add(-time.Second)}}},
		Workers: []inspect.Worker{{
			ID: "w-1", Host: "vm", PID: 3141, State: inspect.Live, Concurrency: 2, Tags: []string{"gpu"}, Functions: []string{"fast", "slow"}, Done: 136, Failed: 2, Seen: at, Version: "0.1.0", Started: at.Add(-time.Hour),
			Busy: time.Minute, Running: []inspect.Call{call},
		}},
		Functions: []inspect.Function{{Name: "fast", In: "int", InCodec: "json", Out: "int", OutCodec: "json", Workers: 1}, {Name: "slow", In: "int", InCodec: "json", Out: "int", OutCodec: "json", Workers: 1}},
		Executors: []inspect.Process{gather}, Letters: 1,
	}
	group := inspect.ErrorGroup{Stage: "slowed", Function: "slow", Code: "error", Count: 2, First: at.Add(-time.Minute), Last: at, Message: "exit status 7: <boom> on #", Source: "s.3737", Offset: 9, Attempt: 1, Worker: "w-1"}
	server := inspect.Server{Version: "7.0.15", RoundTrip: time.Millisecond, Memory: 1 << 20, Policy: "noeviction", AppendOnly: true, Snapshots: true, Clients: 9, MaxClients: 10000, Uptime: time.Hour, MainCPU: time.Minute,
		Address: "127.0.0.1:6379", Run: "r1", Nodes: []inspect.Node{{Address: "127.0.0.1:6379", Run: "r1", MainCPU: time.Minute}}}
	s.Redis = inspect.Load{Busy: 0.25, Length: 30 * time.Second}
	return watch.View{Snapshot: s, Errors: []inspect.ErrorGroup{group}, Server: server, At: at}
}

// get sends a request to a handler of the fixed view.
func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler() http.Handler { return api.Handler(newViews(view()), fixed{}) }

// decoded returns the body of an answer.
func decoded[T any](t *testing.T, w *httptest.ResponseRecorder) (body T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return body
}
