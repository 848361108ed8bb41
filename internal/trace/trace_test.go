package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/trace"
)

func TestAddKeepsEachTraceOnce(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"", "", ""}, {"", "a", "a"}, {"a", "", "a"}, {"a", "a", "a"}, {"a b", "b c", "a b c"}} {
		if got := trace.Add(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q are %q, want %q", c[0], c[1], got, c[2])
		}
	}
	all := ""
	for i := range 100 {
		all = trace.Add(all, fmt.Sprint(i))
	}
	if n := len(strings.Fields(all)); n != 16 {
		t.Errorf("%d traces of 100 are left", n)
	}
}
