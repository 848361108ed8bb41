package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// eventually takes snapshots until one fulfills a condition.
func eventually(t *testing.T, in executor.Inspector, what string, ok func(s inspect.Snapshot) bool) inspect.Snapshot {
	t.Helper()
	for {
		s, err := in.Snapshot(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok(s) {
			return s
		}
	}
}

// queue returns the queue of a name.
func queue(t *testing.T, s inspect.Snapshot, name string) inspect.Queue {
	t.Helper()
	i := slices.IndexFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == name })
	if i < 0 {
		t.Fatalf("there is no queue %s among %+v", name, s.Queues)
	}
	return s.Queues[i]
}

// Each item of a queue is in one place, and items + fused of the queue behind are those that are done.
func TestSnapshotAddsUp(t *testing.T) {
	hold := make(chan struct{})
	slow := workers.Define("slow", func(ctx context.Context, n int) (int, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		hold = make(chan struct{})
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 100)), bridge.Name("in"), bridge.Seal(), bridge.MaxBatch(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), slow, in, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		s := eventually(t, ex, "items run", func(s inspect.Snapshot) bool { return queue(t, s, "in").Running > 0 })
		q := queue(t, s, "in")
		if q.Waiting+q.Running != 100 || q.Added != 100 || q.State != "ended" || q.Oldest.IsZero() != (q.Waiting == 0) || q.OldestScattered.IsZero() != q.Oldest.IsZero() || q.Batches != q.Running {
			t.Errorf("the in-queue is %+v", q)
		}
		if f := s.Flows(); len(f) != 1 || f[0].Name != "in" || f[0].State != "running" || strings.Join(f[0].Chain, " ") != "slow" || f[0].Waiting+f[0].Running != 100 {
			t.Errorf("the flows are %+v", f)
		}
		if st := s.Stages; len(st) != 1 || st[0].Workers != 1 || st[0].Others != 0 || st[0].Function != "slow" {
			t.Errorf("the stages are %+v", st)
		}
		if w := s.Workers; len(w) != 1 || w[0].State != "live" || !slices.Contains(w[0].Functions, "slow") {
			t.Errorf("the workers are %+v", w)
		}
		if src := s.Sources; len(src) != 1 || src[0].State != "ended" || src[0].Stored != 100 || src[0].End != 100 || src[0].Delivered != -1 || src[0].Queue != "in" {
			t.Errorf("the sources are %+v", src)
		}
		close(hold)
		for _, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Fatal(err)
			}
		}
		s = eventually(t, ex, "all is delivered", func(s inspect.Snapshot) bool { return queue(t, s, "out").Running == 0 && len(s.Sources) == 0 })
		if f := s.Flows(); f[0].State != "done" || f[0].Waiting != 0 || queue(t, s, "out").State != "ended" {
			t.Errorf("the flows are %+v", f)
		}
		for _, name := range []string{"in", "out"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}, slow)
}

func TestSnapshotShowsWhatSourcesWaitFor(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for _, c := range []struct {
			name, state string
			opts        []bridge.ScatterOption
		}{
			{"full", "full", []bridge.ScatterOption{bridge.MaxSize(10), bridge.MaxBatch(1)}},
			{"narrow", "window", []bridge.ScatterOption{bridge.MaxInFlight(5), bridge.MaxBatch(1)}},
			{"open", "open", nil},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			input := make(chan int)
			go func() {
				for n := range 1000 {
					select {
					case input <- n:
					case <-ctx.Done():
						return
					}
				}
			}()
			if _, err := bridge.Scatter(ctx, ex, input, append(c.opts, bridge.Name(c.name), bridge.DurableSource("source-"+c.name))...); err != nil {
				t.Fatal(err)
			}
			// A snapshot reads the queues before the sources: a later one has both as they stay.
			s := eventually(t, ex, c.name, func(s inspect.Snapshot) bool {
				return slices.ContainsFunc(s.Sources, func(src inspect.Source) bool {
					return src.Queue == c.name && src.State == c.state && src.Stored > 0
				}) && queue(t, s, c.name).Full == (c.state == "full")
			})
			src := s.Sources[slices.IndexFunc(s.Sources, func(src inspect.Source) bool { return src.Queue == c.name })]
			if src.Name != "source-"+c.name || src.End != -1 || !src.Durable || src.By == nil || src.By.State != "live" || src.By.PID == 0 {
				t.Errorf("the source is %+v", src)
			}
			if q := queue(t, s, c.name); q.State != "open" || q.Sources != 1 {
				t.Errorf("the queue is %+v", q)
			}
			cancel()
			eventually(t, ex, c.name+" is away", func(s inspect.Snapshot) bool {
				return slices.ContainsFunc(s.Sources, func(src inspect.Source) bool { return src.Queue == c.name && src.State == "away" && src.Why != "" })
			})
			if err := ex.Delete(t.Context(), c.name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Flows without a worker for one of their stages are stuck, and say why.
func TestFlowsSayWhyItemsWait(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3}), bridge.Name("in"))
		if err != nil {
			t.Fatal(err)
		}
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		nobody := workers.Remote[int, int]("nobody")
		if _, err := executor.Map(t.Context(), nobody, q, executor.Name("out")); err != nil && !errors.Is(err, executor.ErrFunctionNotRegistered) {
			t.Fatal(err)
		} else if err == nil {
			s := eventually(t, ex, "a flow", func(s inspect.Snapshot) bool { return len(s.Flows()) == 1 })
			if f := s.Flows()[0]; f.State != "stuck" || f.Why != "no worker has the function of stage out (nobody)" {
				t.Errorf("the flow is %+v", f)
			}
			words := workers.Define("nobody", func(_ context.Context, word string) (string, error) { return word, nil })
			if err := ex.Register(words); err != nil {
				t.Fatal(err)
			}
			s = eventually(t, ex, "a worker", func(s inspect.Snapshot) bool { return len(s.Stages) == 1 && s.Stages[0].Others > 0 })
			if f := s.Flows()[0]; f.State != "stuck" || f.Why != "the workers have the function of stage out (nobody) with other types" || s.Stages[0].Workers != 0 {
				t.Errorf("the flow is %+v", f)
			}
			if err := ex.Delete(t.Context(), "out"); err != nil {
				t.Fatal(err)
			}
		}
		s := eventually(t, ex, "the queue alone", func(s inspect.Snapshot) bool { return len(s.Stages) == 0 })
		if f := s.Flows(); len(f) != 1 || f[0].State != "waiting" || f[0].Why != "no program gathers queue in" || f[0].Waiting != 3 {
			t.Errorf("the flows are %+v", f)
		}
		if err := ex.Delete(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
	})
}

// The state of all processes is read without waiting for a heartbeat.
func TestSnapshotShowsSilentProcesses(t *testing.T) {
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	o, err := executor.NewInspector(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := o.Snapshot(t.Context()); err != nil || len(s.Queues)+len(s.Workers)+len(s.Executors) > 0 || s.Queues == nil || s.At.IsZero() {
		t.Errorf("an empty namespace has %+v, %v", s, err)
	}
	if _, err := o.Server(t.Context()); err != nil {
		t.Error(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := o.Snapshot(t.Context()); !errors.Is(err, executor.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
