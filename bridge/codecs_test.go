package bridge_test

import (
	"context"
	"encoding/xml"
	"math"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// xmlCodec is a format that a user brings.
type xmlCodec struct{}

func (xmlCodec) Name() string                       { return "xml" }
func (xmlCodec) Marshal(v any) ([]byte, error)      { return xml.Marshal(v) }
func (xmlCodec) Unmarshal(data []byte, v any) error { return xml.Unmarshal(data, v) }

type point struct {
	X, Y int
	Name string
}

func TestCodecs(t *testing.T) {
	points := []point{{1, 2, "a"}, {}, {-1, math.MaxInt32, "\u00fc"}}
	for _, c := range []workers.Codec{nil, workers.JSON(), workers.MsgPack(), xmlCodec{}} {
		swap := workers.Define("swap", func(_ context.Context, p point) (point, error) {
			return point{p.Y, p.X, p.Name}, nil
		}, workers.WithCodec(c))
		onBoth(t, func(t *testing.T, ex *executor.Executor) {
			q := stage(t, swap, scatter(t, ex, points, bridge.WithCodec(c), bridge.Name("points"), bridge.Seal()))
			want(t, values(t, q), point{2, 1, "a"}, point{}, point{math.MaxInt32, -1, "\u00fc"})
			for _, name := range []string{q.Name(), "points"} {
				if err := ex.Delete(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		}, swap)
	}
}

func TestOpenKnowsTheFormat(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		scatter(t, ex, []point{{1, 2, "a"}}, bridge.WithCodec(workers.MsgPack()), bridge.Name("packed"), bridge.Seal())
		scatter(t, ex, []point{{3, 4, "b"}}, bridge.WithCodec(xmlCodec{}), bridge.Name("marked"), bridge.Seal())
		want(t, values(t, must(executor.Open[point](t.Context(), ex, "packed"))(t)), point{1, 2, "a"})
		want(t, values(t, must(executor.Open[point](t.Context(), ex, "marked", executor.WithCodec(xmlCodec{})))(t)), point{3, 4, "b"})
		for _, name := range []string{"packed", "marked"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAnyNumberIsData(t *testing.T) {
	numbers := []float64{0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), 0.1}
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want(t, values(t, scatter(t, ex, numbers)), numbers...)
		if got := values(t, scatter(t, ex, []float64{math.NaN()})); len(got) != 1 || !math.IsNaN(got[0]) {
			t.Errorf("got %v", got)
		}
		integers := []int64{math.MinInt64, -1, 0, math.MaxInt64}
		want(t, values(t, scatter(t, ex, integers)), integers...)
		one := 1
		pointers := values(t, scatter(t, ex, []*int{nil, &one}))
		if len(pointers) != 2 || pointers[0] != nil || pointers[1] == nil || *pointers[1] != 1 {
			t.Errorf("got %v", pointers)
		}
		bytes := values(t, scatter(t, ex, [][]byte{{}, {0xff, 0}, []byte("null")}))
		if !slices.EqualFunc(bytes, [][]byte{{}, {0xff, 0}, []byte("null")}, slices.Equal[[]byte]) {
			t.Errorf("got %q", bytes)
		}
		want(t, values(t, scatter(t, ex, make([]struct{}, 3))), struct{}{}, struct{}{}, struct{}{})
	})
}

// A value that the codec cannot encode is that value's failure.
func TestAValueThatCannotBeEncodedFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []any{1.0, math.Inf(1), "x"})
		var got []any
		for v, err := range bridge.All(t.Context(), q) {
			if bridge.IsItemError(err) {
				v = "failed"
			}
			got = append(got, v)
		}
		if !slices.Equal(got, []any{1.0, "failed", "x"}) {
			t.Errorf("got %v", got)
		}
	})
}
