package page_test

import (
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// A page says "unknown" for a worker or a type that is not known, without an empty link.
func TestPageNamesWhatIsUnknown(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{
		snapshot: inspect.Snapshot{Queues: []inspect.Queue{{Name: "q", State: "open"}, {Name: "typed", State: "open", Type: "int", Codec: "json"}}},
		errors:   []inspect.ErrorGroup{{Stage: "s", Function: "f", Code: "lost", Count: 1, Source: "src"}, {Stage: "s", Function: "f", Code: "error", Count: 1, Source: "src", Worker: "w1"}},
	}, page.Options{})
	for _, c := range []struct {
		path string
		want []string
		not  string
	}{
		{"/errors", []string{`<dt>Worker</dt><dd><span class="muted">unknown</span></dd>`, `<dt>Worker</dt><dd><a href="/worker?id=w1"><bdi>w1</bdi></a></dd>`}, `<a href="/worker">`},
		{"/queue?name=q", []string{`<dt>Type</dt><dd><span class="muted">unknown</span></dd>`}, "()"},
		{"/queue?name=typed", []string{`<dt>Type</dt><dd><bdi>int</bdi> (json)</dd>`}, "unknown</span>"},
	} {
		text := body(t, get(t, p, c.path))
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", c.path, want)
			}
		}
		if strings.Contains(text, c.not) {
			t.Errorf("%s has %s", c.path, c.not)
		}
	}
}
