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
	n := &namespace{history: inspect.History{Seconds: []inspect.Work{slot(-60, 900, 0), slot(0, 400, 100), slot(1, 390, 600), slot(2, 80, 1300)}}}
	n.snapshot = inspect.Snapshot{Stages: []inspect.Stage{{ID: "s", Function: "f", In: []string{"a"}, Out: []string{"b"}}}}
	for now, want := range map[time.Duration]string{
		22 * time.Second: "in 50/s, out 40/s, failed 0/s", // workers have not reported all of the second slot
		25 * time.Second: "in 70/s, out 39/s, failed 0/s",
	} {
		n.snapshot.At = begin.Add(now)
		text := html.UnescapeString(body(t, get(t, pagesOf(t, n, page.Options{}), "/stage?id=s")))
		if !strings.Contains(text, want) {
			t.Errorf("after %s: no %q in %s", now, want, text)
		}
	}
	if text := html.UnescapeString(body(t, get(t, pagesOf(t, n, page.Options{}), "/stage?id=s"))); !strings.Contains(text, `"lines":[[`+unix(begin)+`,`+unix(begin.Add(10*time.Second))+`],[50,70]`) {
		t.Errorf("the lines are not those of the last five minutes: %s", text)
	}
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
