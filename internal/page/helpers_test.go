package page_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/watch"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A namespace is an Inspector with fixed answers.
type namespace struct {
	executor.Inspector
	mu       sync.Mutex
	err      error // of each read
	snapshot inspect.Snapshot
	errors   []inspect.ErrorGroup
	server   inspect.Server
	history  inspect.History
	ended    []inspect.EndedFlow
	reads    int // of these
	letters  []executor.DeadLetter
	items    [][]byte
	where    []inspect.Location
	queued   []inspect.Item // of each queue
}

func (n *namespace) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *namespace) Snapshot(context.Context) (inspect.Snapshot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.snapshot, n.err
}

func (n *namespace) Errors(context.Context) ([]inspect.ErrorGroup, error) { return n.errors, nil }

func (n *namespace) Server(context.Context) (inspect.Server, error) { return n.server, nil }

func (n *namespace) MarkWatched(context.Context) error { return nil }

func (n *namespace) History(context.Context, string) (inspect.History, error) { return n.history, nil }

func (n *namespace) EndedFlows(context.Context) ([]inspect.EndedFlow, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	return n.ended, n.err
}

func (n *namespace) Where(context.Context, string, int64) ([]inspect.Location, error) {
	return n.where, nil
}

// Peek returns items from a position on, which is the number of an item.
func (n *namespace) Peek(_ context.Context, queue, from string, count int) (inspect.Page, error) {
	at, err := strconv.Atoi(cmp.Or(from, "0"))
	if err != nil || at > len(n.queued) {
		return inspect.Page{}, fmt.Errorf("peek: position %q", from)
	}
	page := inspect.Page{Queue: queue, Items: slices.Clone(n.queued[at:min(len(n.queued), at+count)])}
	if at+count < len(n.queued) {
		page.Next = strconv.Itoa(at + count)
	}
	return page, nil
}

func (n *namespace) DeadLetters(context.Context) iter.Seq2[executor.DeadLetter, error] {
	return func(yield func(executor.DeadLetter, error) bool) {
		for _, letter := range n.letters {
			if !yield(letter, nil) {
				return
			}
		}
	}
}

func (n *namespace) DeadLetterItems(context.Context, string) ([][]byte, error) { return n.items, nil }

// pagesOf returns the pages of a namespace until the end of the test.
func pagesOf(t *testing.T, inspector executor.Inspector, options page.Options) *page.Page {
	t.Helper()
	watcher := watch.Start(t.Context(), inspector, slog.New(slog.DiscardHandler))
	t.Cleanup(watcher.Close)
	p, err := page.New(t.Context(), inspector, watcher, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// get returns the response for a path.
func get(t *testing.T, handler http.Handler, path string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	return send(t, handler, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), change...)
}

// post returns the response for a form.
func post(t *testing.T, handler http.Handler, path, form string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://localhost:8787")
	return send(t, handler, r, change...)
}

func send(t *testing.T, handler http.Handler, r *http.Request, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r.Host = "localhost:8787"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

// body returns the text of a response.
func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	_, content, _ := strings.Cut(text.String(), "\r\n\r\n")
	return content
}
