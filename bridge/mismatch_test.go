package bridge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

type hidden struct {
	Seen int
	lost int
}

var keep = workers.Define("keep", func(_ context.Context, h hidden) (hidden, error) { return h, nil }, workers.DropUnexported())

// Each call that gets a type refuses a type that its codec cannot carry, before it makes anything.
func TestTypesThatTheCodecCannotCarryAreRefused(t *testing.T) {
	refusing := workers.Define("refusing", func(_ context.Context, h hidden) (int, error) { return h.Seen, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		open := scatter(t, ex, []hidden{{Seen: 1, lost: 2}}, bridge.Name("open"), bridge.WithCodec(workers.JSON(workers.DropUnexported())))
		calls := map[string]error{
			"Scatter":       second(bridge.Scatter(t.Context(), ex, make(chan hidden))),
			"ScatterSeq":    second(bridge.ScatterSeq(t.Context(), ex, slices.Values([]hidden{}))),
			"ScatterSlices": second(bridge.ScatterSlices(t.Context(), ex, make(chan []hidden))),
			"NewProducer":   second(bridge.NewProducer[hidden](t.Context(), ex, bridge.WithCodec(workers.MsgPack()))),
			"Open":          second(executor.Open[hidden](t.Context(), ex, "open")),
			"Submit":        second(executor.Submit(t.Context(), ex, refusing, hidden{})),
			"Map":           second(executor.Map(t.Context(), refusing, open)),
			"Register":      ex.Register(refusing),
		}
		for name, err := range calls {
			if !errors.Is(err, executor.ErrTypeMismatch) || !strings.Contains(err.Error(), "field hidden.lost is unexported") {
				t.Errorf("%s: got %v", name, err)
			}
			if err != nil && strings.Count(err.Error(), executor.ErrTypeMismatch.Error()) > 1 {
				t.Errorf("%s says it twice: %v", name, err)
			}
		}
		allowed := must(executor.Open[hidden](t.Context(), ex, "open", executor.WithCodec(workers.JSON(workers.DropUnexported()))))(t)
		if err := ex.Delete(t.Context(), allowed.Name()); err != nil {
			t.Error(err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A value that JSON would change is a failure in its place, on the way in and on the way out.
func TestValuesThatTheCodecWouldChangeAreFailures(t *testing.T) {
	const odd = 1<<53 + 1
	odds := workers.Define("odds", func(_ context.Context, n int) (any, error) {
		if n%2 == 1 {
			return odd + n - 1, nil
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		texts := []map[string]string{{"a": "b"}, {"a\xff": "b", "a\xfe": "c"}, {"a": "\xff"}, {"": ""}}
		i := 0
		for r := range must(bridge.Gather(t.Context(), scatter(t, ex, texts)))(t) {
			wantEncodeFailure(t, i, r.Err, i == 1 || i == 2)
			i++
		}
		i = 0
		for r := range must(bridge.Gather(t.Context(), stage(t, odds, scatter(t, ex, upTo(10)))))(t) {
			wantEncodeFailure(t, i, r.Err, i%2 == 1 && odd+i-1 != (odd+i-1)/2*2)
			i++
		}
		for r := range must(bridge.Gather(t.Context(), stage(t, keep, scatter(t, ex, []hidden{{1, 2}}, bridge.WithCodec(workers.JSON(workers.DropUnexported()))))))(t) {
			if r.Err != nil || r.Value != (hidden{Seen: 1}) {
				t.Errorf("got %+v", r)
			}
		}
	}, odds, keep)
}

func wantEncodeFailure(t *testing.T, i int, err error, want bool) {
	t.Helper()
	var item *executor.ItemError
	if errors.As(err, &item) && item.Code == "encode" != want || want == (err == nil) {
		t.Errorf("item %d: got %v", i, err)
	}
}
