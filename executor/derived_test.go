package executor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// A derived name that would be too long has a hash, which is the same in each call and differs for each
// queue and function. Names of 64 characters have none.
func TestLongDerivedNames(t *testing.T) {
	long := strings.Repeat("q", 60)
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		close(in)
		q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name(long))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for range 2 { // a further call returns the same queue
			again, err := executor.Open[int](t.Context(), ex, long)
			if err != nil {
				t.Fatal(err)
			}
			out, err := executor.Map(t.Context(), inc, again)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, out.Name())
		}
		out, err := executor.Open[int](t.Context(), ex, names[0])
		if err != nil {
			t.Fatal(err)
		}
		branches, err := executor.Multiplex(t.Context(), 2, out)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, branches[0].Name(), branches[1].Name())
		want := []string{
			long + ".inc", long + ".inc", strings.Repeat("q", 47) + ".a6d3a3dc5a7d40ed", strings.Repeat("q", 47) + ".32d2523131bb64bd",
		}
		if !slices.Equal(names, want) {
			t.Errorf("%q", names)
		}
		for _, name := range append(names[1:], q.Name()) {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, inc)
}
