package page_test

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// stored is a namespace with a queue of many items.
func stored(count int) *namespace {
	n := &namespace{snapshot: inspect.Snapshot{Queues: []inspect.Queue{{Name: "orders"}}}}
	for i := range count {
		n.queued = append(n.queued, inspect.Item{Position: fmt.Sprint(i), State: inspect.Waiting, Source: "s.1", Offset: int64(i), Bytes: 9, Form: inspect.TextForm, Text: fmt.Sprintf("<b>order-%d</b>", i)})
	}
	return n
}

// shownTexts returns the items of a page.
func shownTexts(text string) string {
	var all []string
	for _, m := range regexp.MustCompile(`<pre tabindex="0">([^<]*)</pre>`).FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Trim(html.UnescapeString(m[1]), "</b>"))
	}
	return strings.Join(all, " ")
}

func TestQueueShowsItemsInParts(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, stored(25), page.Options{})
	first := body(t, get(t, p, "/queue?name=orders"))
	if got := shownTexts(first); !strings.HasPrefix(got, "order-0 order-1 ") || !strings.HasSuffix(got, " order-19") || !strings.Contains(first, "?from=20&amp;name=orders") {
		t.Errorf("the first part is %s", got)
	}
	second := body(t, get(t, p, "/queue?name=orders&from=20"))
	if got := shownTexts(second); got != "order-20 order-21 order-22 order-23 order-24" || strings.Contains(second, "Next →") {
		t.Errorf("the second part is %s", got)
	}
	if text := body(t, get(t, p, "/queue?name=orders&from=nowhere")); !strings.Contains(text, "peek: position") {
		t.Errorf("a wrong position: %s", text)
	}
}

// A search looks at 10,000 items.
func TestQueueIsSearched(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, stored(10_100), page.Options{})
	for text, want := range map[string]string{"order-9999": "order-9999", "order-10050": "", "order-42<": "order-42", "nothing": ""} {
		if got := shownTexts(body(t, get(t, p, "/queue?name=orders&text="+url.QueryEscape(text)))); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	hidden := body(t, get(t, pagesOf(t, stored(3), page.Options{HidePayloads: true}), "/queue?name=orders&text=order-1"))
	if strings.Contains(hidden, "order-0") || strings.Count(hidden, ">9 B<") != 3 || strings.Contains(hidden, `type="search"`) {
		t.Errorf("hidden items: %s", hidden)
	}
}

// A flow shows what its gather and its sources wait for.
func TestFlowShowsWaits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	n := stored(0)
	n.snapshot.At = at
	n.snapshot.Queues[0].State, n.snapshot.Queues[0].Flow = inspect.Open, "orders"
	n.snapshot.Queues[0].Gather = &inspect.Process{Host: "vm", PID: 12}
	n.snapshot.Sources = []inspect.Source{{Name: "s.1", Queue: "orders", State: inspect.Full, End: -1, Waited: 0.8, Caller: 0.1, Since: at.Add(-12 * time.Second)}}
	n.snapshot.Gathers = []inspect.Gather{{Queue: "orders", State: inspect.Missing, Delivered: 1234, Held: 56, Reader: 0.25, Wants: &inspect.Wanted{Source: "s.1", Offset: 7, Since: at.Add(-3 * time.Second)}}}
	if text := body(t, get(t, pagesOf(t, n, page.Options{}), "/flow?name=orders")); !strings.Contains(text, ">waits for an item</text>") {
		t.Errorf("the graph does not show the gather: %s", text)
	}
	for _, path := range []string{"/flow?name=orders", "/queue?name=orders"} {
		text := body(t, get(t, pagesOf(t, n, page.Options{}), path))
		for _, want := range []string{"waits for room 80 %, for its program 10 %, now for 12 s", "1,234", ">56<", "25 %", `href="/where?offset=7&amp;source=s.1"`, "for 3.0 s"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %q: %s", path, want, text)
			}
		}
	}
}
