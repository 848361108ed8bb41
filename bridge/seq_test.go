package bridge_test

import (
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// The iterator waits until all its values are delivered. So no value may wait for the next one.
func TestAnIteratorThatWaitsForItsItems(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const rounds, each = 50, 7
		delivered := make(chan struct{}, each)
		q := must(bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) {
			for round := range rounds {
				for i := range each {
					if !yield(round*each + i) {
						return
					}
				}
				for range each {
					<-delivered
				}
			}
		}))(t)
		n := 0
		for v, err := range bridge.All(t.Context(), q) {
			if err != nil || v != n {
				t.Fatalf("%d, %v in the place of %d", v, err, n)
			}
			n++
			delivered <- struct{}{}
		}
		if n != rounds*each {
			t.Errorf("%d items", n)
		}
	})
}
