package flow_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

var errDuplicate = errors.New("duplicate key")

// A table stores numbers, as a database does. It refuses 2.
type table struct {
	mu   sync.Mutex
	rows []int
}

func (s *table) insert(_ context.Context, row int) error {
	if row == 2 {
		return errDuplicate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, row)
	return nil
}

func (s *table) insertAll(ctx context.Context, rows []int) error {
	failed := workers.Errors{}
	for i, row := range rows {
		failed[i] = s.insert(ctx, row)
	}
	return failed
}

// sorted returns the rows in order, each once.
func (s *table) sorted() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(s.rows)))
}

// An eachCase is an input with the result of Each.
type eachCase struct {
	before pipe
	in     []int
	want   []int
	failed int
	offset int64 // of the first failed item
	code   string
	opts   []executor.MapOption
}

func TestEach(t *testing.T) {
	noFuse := executor.NoFuse()
	for name, c := range map[string]eachCase{
		"all are stored":     {in: []int{1, 3, 4, 5}, want: []int{1, 3, 4, 5}},
		"no input":           {},
		"row 2 fails":        {in: upTo(5), want: []int{0, 1, 3, 4}, failed: 1, offset: 2, code: "error"},
		"all fail":           {in: []int{2, 2, 2}, failed: 3, code: "error"},
		"retries":            {in: upTo(5), want: []int{0, 1, 3, 4}, failed: 1, offset: 2, code: "error", opts: []executor.MapOption{executor.Retries(2)}},
		"behind a map":       {before: mapBy(inc), in: upTo(4), want: []int{1, 3, 4}, failed: 1, offset: 1, code: "error"},
		"apart":              {before: mapBy(inc, noFuse), in: upTo(4), want: []int{1, 3, 4}, failed: 1, offset: 1, code: "error", opts: []executor.MapOption{noFuse}},
		"behind a filter":    {before: filterBy(even), in: upTo(9), want: []int{0, 4, 6, 8}, failed: 1, offset: 2, code: "error"},
		"earlier failures":   {before: filterBy(not3), in: upTo(6), want: []int{0, 4}, failed: 2, offset: 2, code: "error"},
		"nothing is left":    {before: filterBy(none), in: upTo(6)},
		"behind a flat map":  {before: flatMapBy(below), in: []int{1, 4, 0, 7, 100}, want: upTo(100)[:0], failed: 3, offset: 1, code: "error"},
		"large groups apart": {before: flatMapBy(below, noFuse), in: []int{1, 200}, want: upTo(200)[:0], failed: 1, offset: 1, code: "error"},
		"bounded":            {in: upTo(9), want: []int{0, 1, 3, 4, 5, 6, 7, 8}, failed: 1, offset: 2, code: "error", opts: []executor.MapOption{executor.MaxSize(1)}},
	} {
		if c.want != nil && len(c.want) == 0 { // of groups: all numbers below the largest one, but 2
			c.want = slices.DeleteFunc(upTo(c.in[len(c.in)-1]), func(x int) bool { return x == 2 })
		}
		for kind, define := range map[string]func(*table) workers.Sink[int]{
			"":            func(s *table) workers.Sink[int] { return workers.DefineSink("store", s.insert) },
			" by batches": func(s *table) workers.Sink[int] { return workers.DefineBatchSink("store", s.insertAll) },
		} {
			t.Run(name+kind, func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) { c.run(t, f, define) })
			})
		}
	}
}

func (c eachCase) run(t *testing.T, f *dqtest.Fleet, define func(*table) workers.Sink[int]) {
	var stored table
	ex, _ := f.StartExecutor()
	f.StartWorker(all, workers.Functions(below, define(&stored)))
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(c.in))
	if err != nil {
		t.Fatal(err)
	}
	source := q
	if c.before != nil {
		if q, err = c.before(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	err = flow.Each(t.Context(), workers.RemoteSink[int]("store"), q, c.opts...)
	checkFailed(t, err, c.failed, c.offset, c.code)
	if got := stored.sorted(); !slices.Equal(got, c.want) {
		t.Errorf("stored %v, want %v", got, c.want)
	}
	if queues, err := ex.Queues(t.Context()); err != nil || len(queues) > 0 {
		t.Errorf("queues are left: %v, %v", queues, err)
	}
	if err := source.Err(); err != nil {
		t.Error(err)
	}
}

// checkFailed compares the error of Each with the number of failed items and the first one of them.
func checkFailed(t *testing.T, err error, n int, offset int64, code string) {
	t.Helper()
	var failed *flow.Failed
	if n == 0 {
		if err != nil {
			t.Errorf("Each returned %v", err)
		}
		return
	}
	var first *executor.ItemError
	if !errors.As(err, &failed) || failed.N != n || !errors.As(err, &first) {
		t.Fatalf("Each returned %v, want %d failed items", err, n)
	}
	if first.Offset != offset || first.Code != code || first.Function != "store" || first.Source == "" || first.Stage == "" {
		t.Errorf("the first failure is %+v", first)
	}
}
