package page_test

import (
	"bufio"
	"context"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	labeled = regexp.MustCompile(`data-label="([^"]*)">([^<]*)<`)
	tile    = regexp.MustCompile(`<dt>([^<]*)</dt><dd[^>]*>([^<]*)<`)
)

// numbersOf returns the numbers that a page shows under their labels.
func numbersOf(form *regexp.Regexp, text string) map[string]int64 {
	found := map[string]int64{}
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		if n, err := strconv.ParseInt(strings.ReplaceAll(m[2], ",", ""), 10, 64); err == nil {
			found[html.UnescapeString(m[1])] = n
		}
	}
	return found
}

// worked makes a flow of 300 items on a real server, of which every third fails, and returns an
// Executor when its worker has reported them all. The results wait.
func worked(t *testing.T) *executor.Executor {
	t.Helper()
	server := testkit.SharedRedis(t)
	ex, err := executor.New(t.Context(), server.URL()+"/?ns="+testkit.Namespace(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ex.Delete(context.Background(), "in"), ex.Close()); err != nil {
			t.Error(err)
		}
	})
	picky := workers.Define("picky", func(_ context.Context, n int) (int, error) {
		if n%3 == 0 {
			return 0, errors.New("divisible")
		}
		return n, nil
	})
	if err := ex.Register(picky); err != nil {
		t.Fatal(err)
	}
	numbers := make([]int, 300)
	for i := range numbers {
		numbers[i] = i
	}
	in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(numbers), bridge.Name("in"), bridge.MaxSize(1000), bridge.Seal())
	if err == nil {
		_, err = executor.Map(t.Context(), picky, in, executor.Name("out"))
	}
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		s, err := ex.Snapshot(t.Context())
		return err == nil && len(s.Stages) == 1 && s.Stages[0].Done == 300 && len(s.Workers) == 1 && s.Workers[0].Done == 300
	}, "the worker has reported its items")
	return ex
}

// The numbers of the pages are those of the snapshot, on a real server and after real work.
func TestPagesShowSnapshot(t *testing.T) {
	t.Parallel()
	ex := worked(t)
	s, err := ex.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := pagesOf(t, ex, page.Options{})
	st, w, out := s.Stages[0], s.Workers[0], s.Queues[slices.IndexFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == "out" })]
	if out.Waiting == 0 || st.Failed != 100 {
		t.Fatalf("the stage is %+v, its queue %+v", st, out)
	}
	for _, c := range []struct {
		path string
		form *regexp.Regexp
		want map[string]int64
	}{
		{"/queues?q=out", labeled, map[string]int64{"Waiting": out.Waiting, "Requeued": 0, "Delayed": 0, "Suspect": 0, "Running": 0}},
		{"/queue?name=out", tile, map[string]int64{"Waiting": out.Waiting, "Requeued": 0, "Delayed": 0, "Suspect": 0, "Running": 0, "Dropped": 0}},
		{"/stage?id=" + url.QueryEscape(st.ID), tile, map[string]int64{"Done": 300, "Failed": 100, "Retried": st.Retried}},
		{"/flow?name=in", tile, map[string]int64{"Waiting": out.Waiting, "Running": 0, "Failed, 5 min": st.RecentFailed}},
		{"/flow?name=in", labeled, map[string]int64{"Stored": 300, "End": 300, "Dropped": 0, "Done": 300, "Retried": st.Retried}},
		{"/", labeled, map[string]int64{"Waiting": out.Waiting, "Failed 5 min": st.RecentFailed}},
		{"/worker?id=" + w.ID, tile, map[string]int64{"Done": 300, "Failed": 100, "Left behind": 0}},
		{"/redis", tile, map[string]int64{"Replicas": 0}},
	} {
		text := body(t, get(t, p, c.path))
		got := numbersOf(c.form, text)
		for label, n := range c.want {
			if shown, ok := got[label]; !ok || shown != n {
				t.Errorf("%s shows %s %d (%v), not %d", c.path, label, shown, ok, n)
			}
		}
	}
	if text := body(t, get(t, p, "/errors")); !strings.Contains(text, "divisible") || !strings.Contains(text, "100×") {
		t.Errorf("the errors are %s", text)
	}
	if text := body(t, get(t, p, "/where?source="+s.Sources[0].Name+"&offset=7")); !strings.Contains(text, "waits in queue out") {
		t.Errorf("the item is %s", text)
	}
}

// A stream sends the page again with each new state. Clients that go away leave nothing behind:
// TestMain fails if one of their goroutines is left.
func TestStreamSendsNewStates(t *testing.T) {
	t.Parallel()
	n := &namespace{snapshot: inspect.Snapshot{Queues: []inspect.Queue{{Name: "orders", Waiting: 41}}}}
	server := httptest.NewServer(pagesOf(t, n, page.Options{}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() *bufio.Scanner {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events?at="+url.QueryEscape("/queue?name=orders"), nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stream.Body.Close() })
		if kind := stream.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Fatalf("the type is %s", kind)
		}
		return bufio.NewScanner(stream.Body)
	}
	until := func(lines *bufio.Scanner, text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Errorf("the stream ends without %q: %v", text, lines.Err())
	}
	first := open()
	until(first, "<dt>Waiting</dt><dd>41</dd>")
	n.mu.Lock()
	n.snapshot = inspect.Snapshot{Queues: []inspect.Queue{{Name: "orders", Waiting: 42}}}
	n.mu.Unlock()
	until(first, "<dt>Waiting</dt><dd>42</dd>")
	for range 20 {
		until(open(), "id: ")
	}
}

// While Redis does not answer, the pages show the last state and say so.
func TestAwayRedisIsShown(t *testing.T) {
	t.Parallel()
	n := &namespace{snapshot: inspect.Snapshot{Queues: []inspect.Queue{{Name: "orders", Waiting: 41}}}}
	p := pagesOf(t, n, page.Options{})
	if text := body(t, get(t, p, "/queues")); strings.Contains(text, "does not answer") {
		t.Error("the page complains before the outage")
	}
	server := httptest.NewServer(p)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events?at=/", nil) // which makes the reads frequent
	if err != nil {
		t.Fatal(err)
	}
	stream, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	shows := func(text string) func() bool {
		return func() bool { return strings.Contains(body(t, get(t, p, "/queues")), text) }
	}
	n.fail(executor.ErrUnreachable)
	testkit.Eventually(t, shows("Redis does not answer."), "the page says that Redis is away")
	if !shows("orders")() {
		t.Error("the last state is gone")
	}
	n.fail(nil)
	testkit.Eventually(t, func() bool { return !shows("Redis does not answer.")() }, "the page recovers")
}

// Before the first read, a page says why there is none.
func TestUnreachableRedisIsAnError(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{err: executor.ErrUnreachable}, page.Options{})
	r := get(t, p, "/")
	if text := body(t, r); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "Redis cannot be read") {
		t.Errorf("status %d: %s", r.StatusCode, text)
	}
}
