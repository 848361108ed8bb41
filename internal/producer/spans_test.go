package producer

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A process that makes no spans and counts no items allocates nothing for them.
func TestNoTracerAllocatesNothing(t *testing.T) {
	s := NewSender(new(broker.Client), broker.Source{}, "", nil, broker.Window{})
	g := NewGroup(s, NewBatcher("s", 0, broker.Bounds{}), 0)
	parcels := Parcels(brokertest.Texts(3, 10))
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		parent := s.parent(ctx)
		for i := range parcels {
			s.beginSpans(ctx, &parcels[i], parent)
		}
		g.beginSpans(ctx, parcels)
		s.spans.end(1)
		s.countSent(ctx, &parcels[0])
	}); n != 0 {
		t.Errorf("three batches without a trace allocate %v times", n)
	}
}
