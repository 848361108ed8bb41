package page_test

import (
	"html"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// The rates of a chart end with the last time that is over and reported.
func TestChartsEndWithWholeSlot(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	slot := func(n int, done, added int64) inspect.Work {
		return inspect.Work{Start: begin.Add(time.Duration(n) * 10 * time.Second), Length: 10 * time.Second, Done: done, Added: added}
	}
	after := func(passed time.Duration) string {
		n := &namespace{history: inspect.History{Seconds: []inspect.Work{slot(-60, 900, 0), slot(0, 400, 100), slot(1, 390, 600), slot(2, 80, 1300)}}}
		n.snapshot = inspect.Snapshot{At: begin.Add(passed), Stages: []inspect.Stage{{ID: "s", Function: "f", In: []string{"a"}, Out: []string{"b"}}}}
		return html.UnescapeString(body(t, get(t, pagesOf(t, n, page.Options{}), "/stage?id=s")))
	}
	if text := after(22 * time.Second); !strings.Contains(text, "in 50/s, out 40/s, failed 0/s") { // workers have not reported all of the second slot
		t.Errorf("after 22 s: %s", text)
	}
	text := after(25 * time.Second)
	for _, want := range []string{"in 70/s, out 39/s, failed 0/s", `"lines":[[` + unix(begin) + `,` + unix(begin.Add(10*time.Second)) + `],[50,70]`} {
		if !strings.Contains(text, want) {
			t.Errorf("after 25 s: no %s in %s", want, text)
		}
	}
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
