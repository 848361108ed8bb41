package workers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A function gets its item from its context: single items, series, batches, behind a fused stage,
// in a second attempt and as a future.
func TestItemFrom(t *testing.T) {
	for name, url := range map[string]string{"embedded": "", "redis": testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)} {
		t.Run(name, func(t *testing.T) {
			check := func(ctx context.Context, offset, attempt int) error {
				at, ok := workers.ItemFrom(ctx)
				if !ok || at.Offset != int64(offset) || at.Attempt != attempt || at.Queue == "" || at.Source == "" {
					return fmt.Errorf("item %d is said to be %+v, %v", offset, at, ok)
				}
				return nil
			}
			series := workers.Define("series", func(ctx context.Context, x int) (int, error) { return x, check(ctx, x, 1) })
			single := workers.Define("single", func(ctx context.Context, x int) (string, error) { return fmt.Sprint(x), check(ctx, x, 1) })
			batch := workers.DefineBatch("batch", func(ctx context.Context, texts []string) ([]string, error) {
				var first int
				if _, err := fmt.Sscan(texts[0], &first); err != nil {
					return nil, err
				}
				return texts, check(ctx, first, 1)
			})
			twice := workers.Define("twice", func(ctx context.Context, text string) (string, error) {
				at, _ := workers.ItemFrom(ctx)
				if at.Attempt < 2 {
					return "", errors.New("once more")
				}
				var first int
				_, err := fmt.Sscan(text, &first)
				return text, errors.Join(err, check(ctx, first, 2))
			})
			ex := must(executor.New(t.Context(), url))(t)
			if err := ex.Register(series, single, batch, twice); err != nil {
				t.Fatal(err)
			}
			q := must(bridge.ScatterSeq(t.Context(), ex, ints(100)))(t)
			texts := must(executor.Map(t.Context(), single, must(executor.Map(t.Context(), series, q))(t)))(t)
			texts = must(executor.Map(t.Context(), batch, texts))(t)
			texts = must(executor.Map(t.Context(), twice, texts, executor.Retries(1)))(t)
			next := 0
			for r := range must(bridge.Gather(t.Context(), texts))(t) {
				if r.Err != nil || r.Value != fmt.Sprint(next) {
					t.Errorf("%d: %q, %v", next, r.Value, r.Err)
				}
				next++
			}
			if next != 100 {
				t.Errorf("%d results", next)
			}
			if _, err := must(executor.Submit(t.Context(), ex, series, 0))(t).Result(t.Context()); err != nil {
				t.Error(err)
			}
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if at, ok := workers.ItemFrom(t.Context()); ok {
		t.Errorf("a context that is no function's has the item %+v", at)
	}
}

func ints(n int) func(yield func(int) bool) {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return slices.Values(all)
}
