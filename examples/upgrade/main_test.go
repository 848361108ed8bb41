package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

//go:embed mountains.csv
var mountains string

// names returns the names of the mountains in lines of results.
func names(text string) (found []string) {
	for line := range strings.Lines(text) {
		found = append(found, strings.TrimSpace(line[:strings.IndexAny(line, ":(,")]))
	}
	return found
}

// describes reports how many results each release has made.
func describes(text string) string {
	return fmt.Sprint(strings.Count(text, ": "), strings.Count(text, " m)"), strings.Count(text, " ft)"))
}

func clean(t *testing.T, ex *executor.Executor, queues ...string) {
	t.Helper()
	for _, name := range queues {
		if err := ex.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// untilFifth is the function of release 1 whose fifth call waits for its context.
func untilFifth() workers.Function {
	var calls atomic.Int32
	return workers.Define("describe", func(ctx context.Context, m Mountain) (string, error) {
		if calls.Add(1) == 5 {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		return fmt.Sprintf("%s: %d m", m.Name, m.Metres), nil
	}, workers.Version("1"))
}

// A worker of release 1 ends after a worker of release 2 has joined. The list has both versions until then, and all
// results of later items are those of release 2.
func TestRollingRestart(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		old := f.StartWorker(workers.Functions(releases["1"]...))
		f.StartWorker(workers.Functions(releases["2"]...))
		functions, err := ex.Functions(t.Context())
		if err != nil || len(functions) != 2 || functions[0].Version != "1" || functions[1].Version != "2" {
			t.Errorf("%+v, %v", functions, err)
		}
		if err := old.Terminate(); err != nil {
			t.Error(err)
		}
		if err := load(t.Context(), ex, strings.NewReader(mountains)); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := read(t.Context(), ex, &out); err != nil || describes(out.String()) != "0 14 0" {
			t.Errorf("%v\n%s", err, &out)
		}
		clean(t, ex, "described", "mountains")
	})
}

// Release 3 replaces the stage while release 1 has a part of the items done. Each mountain comes once: from the old
// queue or from the new one.
func TestStageIsReplacedInMidStream(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Concurrency(1), workers.Functions(untilFifth()))
		if err := load(t.Context(), ex, strings.NewReader(mountains)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the fifth call waits
		f.StartWorker(workers.Functions(releases["3"]...))
		if err := replace(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := read(t.Context(), ex, &out); err != nil {
			t.Fatal(err)
		}
		if got := names(out.String()); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(names(mountains)))) {
			t.Errorf("the mountains are %q", got)
		}
		if got := describes(out.String()); got != "4 0 10" {
			t.Errorf("the results of the releases are %s", got)
		}
		clean(t, ex, "described", "described.surveyed", "surveyed", "mountains")
	})
}

// slow is a function that takes a minute.
func slow(calls *atomic.Int32) workers.Function {
	return workers.Define("describe", func(ctx context.Context, m Mountain) (string, error) {
		calls.Add(1)
		select {
		case <-time.After(time.Minute):
			item, _ := workers.ItemFrom(ctx)
			return fmt.Sprintf("%s: attempt %d", m.Name, item.Attempt), nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
}

// A worker that ends finishes the call that runs, if DrainTimeout is long enough. Otherwise the call ends and another
// worker makes it again: it counts as no failure.
func TestDraining(t *testing.T) {
	for timeout, want := range map[time.Duration]int32{2 * time.Minute: 1, time.Second: 2} {
		t.Run(timeout.String(), func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				ex, _ := f.StartExecutor()
				var calls atomic.Int32
				old := f.StartWorker(workers.Functions(slow(&calls)), workers.DrainTimeout(timeout))
				if err := load(t.Context(), ex, strings.NewReader("Everest,8849\n")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // the call runs
				f.StartWorker(workers.Functions(slow(&calls)))
				if err := old.Terminate(); err != nil {
					t.Error(err)
				}
				var out bytes.Buffer
				if err := read(t.Context(), ex, &out); err != nil || out.String() != "Everest: attempt 1\n" || calls.Load() != want {
					t.Errorf("%v, %q after %d calls, want %d", err, &out, calls.Load(), want)
				}
				clean(t, ex, "described", "mountains")
			})
		})
	}
}

// A worker of an old release drops a field that it does not know, since the name of the type is the same.
func TestOldWorkersDropNewFields(t *testing.T) {
	keep := workers.Define("keep", func(_ context.Context, m Mountain) (Mountain, error) { return m, nil })
	type Mountain struct {
		Name    string `json:"name"`
		Metres  int    `json:"metres"`
		Country string `json:"country"`
	}
	newer := workers.Remote[Mountain, Mountain]("keep")
	stages := func(ctx context.Context, q *executor.Queue[Mountain]) (*executor.Queue[Mountain], error) {
		return executor.Map(ctx, newer, q)
	}
	got := dqtest.Values(t, stages, []Mountain{{"Manaslu", 8163, "Nepal"}}, keep)
	if want := []Mountain{{"Manaslu", 8163, ""}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A queue of one type cannot be opened as one of another type.
func TestNewTypeIsRefused(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		if err := load(t.Context(), ex, strings.NewReader(mountains)); err != nil {
			t.Fatal(err)
		}
		if _, err := executor.Open[SurveyedMountain](t.Context(), ex, "mountains"); !errors.Is(err, executor.ErrTypeMismatch) {
			t.Errorf("the queue is opened: %v", err)
		}
		clean(t, ex, "described", "mountains")
	})
}
