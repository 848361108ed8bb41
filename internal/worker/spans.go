package worker

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/trace"
)

// tracesOf returns the traces of the entries of a call, "" if the worker makes no spans.
func (s *slot) tracesOf(entries ...broker.Entry) (traces string) {
	if s.client.Tracer() == nil {
		return ""
	}
	for _, e := range entries {
		traces = trace.Add(traces, e.Trace())
	}
	return traces
}

// runInSpan runs a call, in a span if its batch has traces. The function gets the context of the span.
func (s *slot) runInSpan(ctx context.Context, run runner.Runner, c runner.Call) (got runner.Result) {
	if s.traces == "" {
		return run.Run(ctx, c)
	}
	s.code = ""
	ctx, end := s.client.Tracer().Process(ctx, s.traces, trace.Call{
		Batch: trace.Batch{Queue: c.Queue, Source: c.Batch.Source, First: c.Batch.First, Items: c.Batch.N},
		Stage: c.Stage, Function: s.route.stage.Function, Attempt: c.Attempt,
	})
	defer func() { // also if the function ends the goroutine
		end(trace.Result{Items: got.N, Failed: got.Failed + len(got.Again), Code: s.code})
	}()
	got = run.Run(ctx, c)
	return got
}
