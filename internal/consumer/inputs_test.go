package consumer

import (
	"context"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// One round trip reads the inputs of a batch, and one finds that a range has none. Calls behind it
// have a canceled context.
func TestInputsTakeOneRoundTripPerBatch(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		for name, opts := range map[string][]broker.SourceOption{"keeps": {broker.KeepInputs("string (raw)")}, "plain": nil} {
			s, _, err := w.C.Source(t.Context(), name, q, 0, opts...)
			if err != nil {
				t.Fatal(err)
			}
			var b batch.Builder
			b.Value([]byte("a"))
			b.Failure(batch.Failure{Code: batch.CodeEncode})
			b.Value([]byte("c"))
			if _, err := w.C.Scatter(t.Context(), s, "x", broker.Window{}, []broker.Parcel{{Batch: batch.Batch{Source: name, N: 3, Frame: b.Take()}}}); err != nil {
				t.Fatal(err)
			}
		}
		keeps, plain := &Inputs{client: w.C}, &Inputs{client: w.C}
		for _, in := range []struct {
			*Inputs
			source string
		}{{keeps, "keeps"}, {plain, "plain"}} {
			if _, _, err := in.Of(t.Context(), in.source, 1, 3); err != nil {
				t.Fatal(err)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for offset, want := range []string{"a", "", "c"} {
			if got, format, err := keeps.Of(over, "keeps", int64(offset), 3); string(got) != want || (got == nil) != (want == "") || format != "string (raw)" || err != nil {
				t.Errorf("input %d is %q, %q, %v", offset, got, format, err)
			}
		}
		if got, _, err := plain.Of(over, "plain", 2, 3); got != nil || err != nil {
			t.Errorf("a source that keeps none has the input %q, %v", got, err)
		}
	})
}
