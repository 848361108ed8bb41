package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// The page of a stage shows its times and waits as bars with their quantiles, and says so if there are
// none.
func TestStageShowsItsTimes(t *testing.T) {
	t.Parallel()
	p95, longest, size := 400*time.Millisecond, 900*time.Millisecond, 12.4
	st := inspect.Stage{ID: "s", Kind: "map", Function: "f", Done: 30}
	n := &namespace{snapshot: inspect.Snapshot{At: time.Unix(1_764_000_000, 0), Stages: []inspect.Stage{st}}}
	text := body(t, get(t, pagesOf(t, n, page.Options{}), "/stage?id=s"))
	for _, want := range []string{"No item is done.", "No worker has reported it", "<dt>Items a call</dt><dd>–</dd>"} {
		if !strings.Contains(text, want) {
			t.Errorf("a stage without calls does not say %q", want)
		}
	}
	if strings.Contains(text, "<rect x=") {
		t.Error("a stage without calls has bars")
	}
	st.P50, st.P95, st.P99, st.Max, st.Cost, st.BatchSize = 100*time.Millisecond, &p95, 700*time.Millisecond, &longest, 150*time.Millisecond, &size
	st.Times = []inspect.Bucket{{UpperSeconds: 0.125, Count: 20}, {UpperSeconds: 1, Count: 10}}
	st.Wait = &inspect.Histogram{Count: 4, Sum: 40 * time.Second, P50: 8 * time.Second, P95: 20 * time.Second, P99: 20 * time.Second, Max: 21 * time.Second}
	for at := 1.0 / 1024 / 1024; at < 1024*64; at *= 2 { // more buckets than bars
		st.Wait.Times = append(st.Wait.Times, inspect.Bucket{UpperSeconds: at, Count: 3})
	}
	n = &namespace{snapshot: inspect.Snapshot{At: time.Unix(1_764_000_000, 0), Stages: []inspect.Stage{st}}}
	text = body(t, get(t, pagesOf(t, n, page.Options{}), "/stage?id=s"))
	for _, want := range []string{
		`aria-label="p50 100 ms, p95 400 ms, p99 700 ms, max 900 ms, mean 150 ms"`, `aria-label="p50 8.0 s, p95 20 s, p99 20 s, max 21 s, mean 10 s"`,
		"<dt>Items a call</dt><dd>12</dd>", "<title>105 ms to 125 ms: 20</title>", "<title>840 ms to 1.0 s: 10</title>", `class="m-p95"`, "30 items", "108 items",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if bars := strings.Count(text, "<rect x="); bars < 2+30 || bars > 2+40 {
		t.Errorf("%d bars", bars)
	}
}
