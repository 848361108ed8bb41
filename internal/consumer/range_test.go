package consumer

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestBothPartsOfASplitRangeReadTheirItems(t *testing.T) {
	t.Parallel()
	whole := Range{Entry: &broker.Entry{Batch: brokertest.Numbers("s", 3, 9)}, From: 4, To: 9}
	for n := range whole.Len() + 1 {
		head, rest := whole.split(n)
		var got []string
		for _, part := range []Range{head, rest} {
			each(part, func(_ int, item []byte, _ *batch.Failure) { got = append(got, string(item)) })
		}
		if head.Len() != n || rest.Len() != whole.Len()-n || len(got) != 5 || got[0] != "4" || got[4] != "8" {
			t.Errorf("behind %d items: [%d,%d) and [%d,%d) with %q", n, head.From, head.To, rest.From, rest.To, got)
		}
	}
}

func TestEachItemOfALostEntryIsAFailure(t *testing.T) {
	t.Parallel()
	e := broker.Entry{Batch: batch.Batch{Source: "s", First: 3, N: 4, Lost: &batch.Failure{Code: batch.CodeLost}}}
	n := 0
	each(Range{Entry: &e, From: 4, To: 6}, func(i int, item []byte, f *batch.Failure) {
		if i != n || item != nil || f == nil || f.Code != batch.CodeLost {
			t.Errorf("item %d: %q, %v", i, item, f)
		}
		n++
	})
	if n != 2 {
		t.Errorf("%d items", n)
	}
}
