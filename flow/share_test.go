package flow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// The outputs of one input keep all slots of a fleet busy until the end. In virtual time only waits cost time,
// so this shows how the work is divided.
func TestOutputsOfOneInputKeepTheFleetBusy(t *testing.T) {
	const outputs = 10_000
	fan := workers.DefineFlatMap("fan", func(_ context.Context, _ int, yield func(int)) error {
		for i := range outputs {
			yield(i)
		}
		return nil
	})
	held := workers.Define("held", func(_ context.Context, i int) (int, error) {
		<-time.After(time.Millisecond)
		return i, nil
	})
	for _, c := range []struct{ workers, slots int }{{4, 8}, {8, 4}, {32, 1}, {1, 32}} {
		t.Run(fmt.Sprintf("%dx%d", c.workers, c.slots), func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				ex, _ := f.StartExecutor()
				for range c.workers {
					f.StartWorker(workers.Concurrency(c.slots), workers.Functions(fan, held))
				}
				begun := time.Now()
				one, err := bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) { yield(0) })
				many, errMany := flow.FlatMap(t.Context(), fan, one)
				q, errHeld := executor.Map(t.Context(), held, many)
				if err := errors.Join(err, errMany, errHeld); err != nil {
					t.Fatal(err)
				}
				next := 0
				for i, err := range bridge.All(t.Context(), q) {
					if i != next || err != nil {
						t.Fatalf("result %d is %d, %v", next, i, err)
					}
					next++
				}
				ideal := outputs * time.Millisecond / time.Duration(c.workers*c.slots)
				took := time.Since(begun)
				t.Logf("%v, ideal %v", took, ideal)
				if next != outputs || took > ideal*3/2 {
					t.Errorf("%d results in %v", next, took)
				}
			})
		})
	}
}
