package glob_test

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/glob"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, text string
		want       bool
	}{
		{"orders*", "orders", true}, {"orders*", "orders/new", true}, {"*new", "orders/new", true}, {"orders", "orders/new", false},
		{"orders?new", "orders/new", true}, {"orders[./]new", "orders/new", true}, {"a\\*", "a*", true}, {"a\\*", "ab", false}, {"", "a", false},
	} {
		p, err := glob.Parse(c.glob)
		if got := p.Matches(c.text); err != nil || got != c.want {
			t.Errorf("%q with %q: %v, %v", c.glob, c.text, got, err)
		}
	}
	if _, err := glob.Parse("["); err == nil {
		t.Error("a bracket that is not closed has no error")
	}
}
