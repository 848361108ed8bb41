package worker

import (
	"context"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// A call for a batch without a trace, in a worker that counts nothing, allocates nothing more than its
// Runner does.
func TestNoTraceAllocatesNothing(t *testing.T) {
	s := &slot{session: &session{client: new(broker.Client)}}
	entry, ctx := broker.Entry{Stamp: "1764446400000 00-aa-bb-01"}, t.Context()
	var run runner.Runner = idleRunner{}
	taken := job{entry: entry}
	if n := testing.AllocsPerRun(1000, func() {
		s.traces = s.tracesOf(entry)
		s.runInSpan(ctx, run, runner.Call{})
		s.countTaken(ctx, taken, 3)
	}); n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

// An idleRunner runs no item.
type idleRunner struct{ runner.Runner }

func (idleRunner) Run(context.Context, runner.Call) runner.Result { return runner.Result{} }
