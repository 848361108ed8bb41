package runner

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
)

func storeUnlessSeventh(_ context.Context, x int) error {
	_, err := incUnlessSeventh(context.Background(), x)
	return err
}

func storeAll(ctx context.Context, xs []int) error {
	_, err := incAll(ctx, xs)
	return err
}

// Only failures have an item. Those of the input pass, and items to retry have none.
func TestSinkLeavesFailuresOnly(t *testing.T) {
	refused := errors.New("refused")
	for name, f := range map[string]*Function{
		"by items":   DefineSink("f", storeUnlessSeventh, Definition{}).Function(),
		"by batches": DefineBatchSink("f", storeAll, Definition{}).Function(),
		"as a whole": DefineBatchSink("f", func(context.Context, []int) error { return refused }, Definition{}).Function(),
	} {
		t.Run(name, func(t *testing.T) {
			all := name == "as a whole"
			for _, c := range []struct {
				call        Call
				items, want []string
				again       []int
			}{
				{items: []string{"1", "7", "x", "2"}, want: []string{"", "error after 1", "decode after 0", ""}},
				{items: []string{"1", "2"}, want: []string{"", ""}},
				{items: []string{"7", "14"}, want: []string{"error after 1", "error after 1"}},
				{call: Call{Retries: 1}, items: []string{"7", "1", "x"}, want: []string{"", "", "decode after 0"}, again: []int{0}},
			} {
				r := runOf(t, f, c.call, c.items...)
				want, again := slices.Clone(c.want), c.again
				for i, item := range c.items {
					if all && want[i] == "" && c.call.Retries == 0 && item != "x" {
						want[i] = "error after 1"
					}
				}
				if all && c.call.Retries > 0 {
					again = []int{0, 1}
				}
				got := filtered(t, batch.Batch{N: r.N, Frame: r.Frame})
				if !slices.Equal(got, want) || !slices.Equal(r.Again, again) || r.N != len(c.items) {
					t.Errorf("%v became %q, want %q: %+v", c.items, got, want, r)
				}
			}
		})
	}
}
