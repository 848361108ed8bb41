package executor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// A limit that no stage can have is an error of the call that gets it.
func TestBadLimitsAreRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ex, err := executor.New(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	each := workers.Define("each", func(_ context.Context, x int) (int, error) { return x, nil })
	whole := workers.DefineBatch("whole", func(_ context.Context, xs []int) ([]int, error) { return xs, nil })
	even := workers.DefineFilter("even", func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil })
	for name, c := range map[string]struct {
		function workers.Func[int, int]
		opts     []executor.StageOption
		want     string
	}{
		"no place":             {each, []executor.StageOption{executor.MaxConcurrency(0)}, "MaxConcurrency(0): it must be at least 1"},
		"places below 0":       {each, []executor.StageOption{executor.MaxConcurrency(-1)}, "MaxConcurrency(-1)"},
		"no call":              {each, []executor.StageOption{executor.RateLimit(0, time.Second)}, "RateLimit(0, 1s)"},
		"no time":              {each, []executor.StageOption{executor.RateLimit(1, 0)}, "RateLimit(1, 0s)"},
		"time below 0":         {each, []executor.StageOption{executor.RateLimit(1, -1)}, "RateLimit(1, -1ns)"},
		"no burst":             {each, []executor.StageOption{executor.RateLimit(1, 1), executor.Burst(0)}, "Burst(0): it must be at least 1"},
		"burst without a rate": {each, []executor.StageOption{executor.Burst(1)}, "Burst without RateLimit"},
		"no item":              {whole, []executor.StageOption{executor.Batch(0, 0)}, "Batch(0, 0s)"},
		"too many items":       {whole, []executor.StageOption{executor.Batch(10_001, 0)}, "Batch(10001, 0s): the number must be from 1 to 10000"},
		"linger below 0":       {whole, []executor.StageOption{executor.Batch(1, -1)}, "Batch(1, -1ns)"},
		"calls of one item":    {each, []executor.StageOption{executor.Batch(2, 0)}, `function "each": executor: Batch is for a function made by workers.DefineBatch`},
	} {
		t.Run(name, func(t *testing.T) {
			var mapped []executor.MapOption
			for _, opt := range c.opts {
				mapped = append(mapped, opt)
			}
			_, fromMap := executor.Map(ctx, c.function, exampleQueue(ctx, ex, 1), mapped...)
			_, fromSubmit := executor.Submit(ctx, ex, c.function, 1, c.opts...)
			_, fromSlice := executor.MapSlice(ctx, ex, c.function, []int{1}, c.opts...)
			for call, err := range map[string]error{"Map": fromMap, "Submit": fromSubmit, "MapSlice": fromSlice} {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s returns %v, not %s", call, err, c.want)
				}
			}
		})
	}
	if _, err := flow.Filter(ctx, even, exampleQueue(ctx, ex, 1), executor.Batch(2, 0)); err == nil || !strings.Contains(err.Error(), "Batch is for") {
		t.Errorf("a filter with batches: %v", err)
	}
	if _, err := executor.Multiplex(ctx, 2, exampleQueue(ctx, ex, 1), executor.MaxConcurrency(1)); err == nil || !strings.Contains(err.Error(), "stages with a function") {
		t.Errorf("a multiplex with a limit: %v", err)
	}
}
