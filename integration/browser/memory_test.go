package browser

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/watch"
)

const (
	settledUpdates = 1000 // after which a page has all that it keeps
	manyUpdates    = 5000
	updatePace     = time.Millisecond // a page takes as many updates as it can
	// grownHeap and grownElements are what both may differ by between two such times.
	grownHeap     = 4 << 20
	grownElements = 50
	// updateLimit bounds the wait for all updates of a page.
	updateLimit = 4 * time.Minute
)

// A restless namespace has other numbers in each read, two seconds after those of the one before.
type restless struct {
	executor.Inspector
	mu      sync.Mutex
	base    inspect.Snapshot
	history inspect.History
}

func (r *restless) Snapshot(context.Context) (inspect.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.base
	s.At = s.At.Add(2 * time.Second)
	s.Queues, s.Stages, s.Workers = slices.Clone(s.Queues), slices.Clone(s.Stages), slices.Clone(s.Workers)
	for i := range s.Queues {
		s.Queues[i].Waiting = rand.Int64N(1_000_000)
		s.Queues[i].Added += rand.Int64N(1000)
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		st.Rate, st.Recent.Done, st.Done, st.Last = 1000*rand.Float64(), rand.Int64N(30_000), st.Done+rand.Int64N(2000), s.At
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		w.Done, w.Seen, w.Running = w.Done+rand.Int64N(2000), s.At, slices.Clone(w.Running)
		for j := range w.Running {
			w.Running[j].Offset, w.Running[j].Since = rand.Int64N(1_000_000), s.At.Add(-time.Duration(rand.Int64N(int64(3*time.Second))))
		}
	}
	r.base = s
	return s, nil
}

// History moves on with the snapshots.
func (r *restless) History(context.Context, string) (inspect.History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var h inspect.History
	for i := range 60 {
		at := r.base.At.Truncate(10 * time.Second).Add(time.Duration(i-60) * 10 * time.Second)
		h.Seconds = append(h.Seconds, inspect.Work{Start: at, Length: 10 * time.Second, Done: rand.Int64N(1000), Waiting: rand.Int64N(1000)})
	}
	return h, nil
}

func (r *restless) Errors(context.Context) ([]inspect.ErrorGroup, error) { return nil, nil }

func (r *restless) Server(context.Context) (inspect.Server, error) { return inspect.Server{}, nil }

func (r *restless) MarkWatched(context.Context) error { return nil }

// A usage is the memory of a tab after its garbage was collected.
type usage struct {
	heap     float64 // of scripts, in bytes
	elements int     // of the page
}

func (v *tab) usage(t *testing.T) usage {
	t.Helper()
	for range 3 { // finalizers of one collection free for the next
		if _, err := chromedp.Call(v.ctx, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	heap, err := chromedp.Call(v.ctx, runtime.GetHeapUsage, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return usage{heap.UsedSize, eval[int](t, v.ctx, `document.querySelectorAll("*").length`)}
}

// updated waits until the page was changed so many times since it was loaded.
func (v *tab) updated(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(updateLimit); ; {
		seen := eval[int](t, v.ctx, `window.updates ??= (() => {
			const count = { n: 0 };
			new MutationObserver(() => count.n++).observe(document.getElementById("live").parentNode, { subtree: true, childList: true, characterData: true, attributes: true });
			return count;
		})(), window.updates.n`)
		if seen >= n {
			return
		}
		if err := rest(t.Context(), 100*time.Millisecond); err != nil || time.Now().After(deadline) {
			t.Fatalf("the page has had %d of %d updates", seen, n)
		}
	}
}

// A page that is open for hours needs no more memory with each update.
func TestOpenPagesDoNotGrow(t *testing.T) {
	f := newFleet(t)
	s := f.await(t, "all work", busy)
	n := &restless{Inspector: f.ex, base: s}
	watcher := watch.StartAt(context.Background(), updatePace, n, slog.New(slog.DiscardHandler))
	at := serveWatched(t, n, watcher, page.Options{})
	for name, path := range map[string]string{"flows": "/", "flow": "/flow?name=orders", "worker": "/worker?id=" + s.Workers[0].ID} {
		visit := open(t)
		do(t, visit.ctx, name, chromedp.Navigate(at+path), chromedp.WaitVisible(chromedp.CSS("#main")))
		visit.updated(t, settledUpdates)
		before := visit.usage(t)
		visit.updated(t, manyUpdates)
		after := visit.usage(t)
		t.Logf("%s: %.2f MB and %d elements after %d updates, %.2f MB and %d after %d", name, before.heap/1e6, before.elements, settledUpdates, after.heap/1e6, after.elements, manyUpdates)
		if after.heap > before.heap+grownHeap || after.elements > before.elements+grownElements {
			t.Errorf("%s: the memory has grown from %+v to %+v", name, before, after)
		}
		for _, report := range visit.reports() {
			t.Errorf("%s: the browser reports: %s", name, report)
		}
	}
}
