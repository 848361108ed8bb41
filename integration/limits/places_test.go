package limits_test

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMaxConcurrencyHoldsOverAllWorkers(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		var made calls
		call := made.function(50 * time.Millisecond)
		for range 4 {
			f.StartWorker(workers.Functions(call), workers.Concurrency(8))
		}
		ex, _ := f.StartExecutor()
		began := time.Now()
		gather(t, ex, call, 20, executor.MaxConcurrency(3))
		if n := len(made.since()); n != 20 || made.most != 3 {
			t.Errorf("%d calls, at most %d at once", n, made.most)
		}
		if took := time.Since(began); took > 600*time.Millisecond {
			t.Errorf("20 calls took %v", took)
		}
	})
}
