package executor_test

import (
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// An Executor that runs functions itself works on a miniredis, with its address.
func TestFuturesOnMiniredis(t *testing.T) {
	t.Parallel()
	url := testkit.Miniredis(t)
	ex, err := executor.New(t.Context(), url)
	if err == nil {
		err = ex.Register(inc, wait)
	}
	if err != nil {
		t.Fatal(err)
	}
	futures, err := executor.MapSlice(t.Context(), ex, inc, make([]int, 1000))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for f := range executor.AsCompleted(t.Context(), futures) {
		if v, err := f.Result(t.Context()); err != nil || v != 1 {
			t.Errorf("future %d is %d, %v", n, v, err)
		}
		n++
	}
	if n != 1000 {
		t.Errorf("%d futures have completed", n)
	}
	waits, err := executor.Submit(t.Context(), ex, wait, 1)
	if err == nil {
		err = waits.Cancel(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	if left := testkit.Keys(t, url, "*"); len(left) > 0 {
		t.Errorf("keys are left: %q", left)
	}
}
