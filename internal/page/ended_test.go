package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// Many readers of the page cost one read within ten seconds.
func TestEndedFlowsAreListed(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	n := &namespace{snapshot: inspect.Snapshot{At: at}}
	n.ended = []inspect.EndedFlow{
		{
			Name: "orders", Chain: []string{"fast", "slow"}, Began: at.Add(-2 * time.Hour), Ended: at.Add(-time.Hour), Items: 3000, Failed: 2,
			Errors: []inspect.EndedError{{Function: "slow", Code: "error", Message: "exit status 7", Count: 41}},
			Stages: []inspect.EndedStage{{Function: "fast"}, {Function: "slow", P50: 500 * time.Millisecond, P99: 9 * time.Second}},
		},
		{Name: "letters", Ended: at, Items: 1, Stages: []inspect.EndedStage{{Kind: "copy"}}},
	}
	p := pagesOf(t, n, page.Options{})
	if home := body(t, get(t, p, "/")); !strings.Contains(home, `<a href="/ended">Ended</a>`) {
		t.Error("the page of flows has no tab of those that have gone")
	}
	text := body(t, get(t, p, "/ended"))
	for _, want := range []string{"fast → slow", ">1 h 00 min<", ">3,000<", ">2<", "exit status 7", "41×", "500 ms, 9.0 s", ">letters<"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q: %s", want, text)
		}
	}
	if found := body(t, get(t, p, "/ended?q=STATUS")); !strings.Contains(found, ">orders<") || strings.Contains(found, ">letters<") {
		t.Errorf("the rows with a text are %s", found)
	}
	if sorted := body(t, get(t, p, "/ended?sort=items")); strings.Index(sorted, ">letters<") > strings.Index(sorted, ">orders<") {
		t.Error("the rows are not sorted by items")
	}
	if n.reads != 1 {
		t.Errorf("%d reads", n.reads)
	}
}
