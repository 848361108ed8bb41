package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// The failures of a flow are in its row and on its page, also if they are long ago and nothing else is wrong.
func TestFailuresOfAFlowAreShown(t *testing.T) {
	t.Parallel()
	n := &namespace{snapshot: inspect.Snapshot{
		At: time.Now(),
		Queues: []inspect.Queue{
			{Name: "in", State: inspect.Ended, Consumer: "stage:out"}, {Name: "out", State: inspect.Ended, From: []string{"in"}},
		},
		Stages: []inspect.Stage{{ID: "out", Function: "check", In: []string{"in"}, Out: []string{"out"}, Done: 2000, Failed: 400}},
	}}
	pages := pagesOf(t, n, page.Options{})
	for _, path := range []string{"/", "/flow?name=in"} {
		if text := body(t, get(t, pages, path)); !strings.Contains(text, "400 of 2000 items of check have failed") {
			t.Errorf("%s does not tell that items have failed", path)
		}
	}
}
