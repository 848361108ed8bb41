package worker

import (
	"context"
	"time"

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
// The call is measured if the worker has a Meter.
func (s *slot) runInSpan(ctx context.Context, run runner.Runner, c runner.Call) (got runner.Result) {
	meter := s.client.Meter()
	if s.traces == "" && meter == nil {
		return run.Run(ctx, c)
	}
	s.code = ""
	about := trace.Call{
		Batch: trace.Batch{Queue: c.Queue, Source: c.Batch.Source, First: c.Batch.First, Items: c.Batch.N},
		Stage: c.Stage, Function: s.route.stage.Function, Attempt: c.Attempt,
	}
	began, end := time.Now(), func(trace.Result) {}
	if s.traces != "" {
		ctx, end = s.client.Tracer().Process(ctx, s.traces, about)
	}
	defer func() { // also if the function ends the goroutine
		result := trace.Result{Items: got.Items, Failed: got.Failed + len(got.Again), Code: s.code}
		if end(result); meter != nil {
			meter.Processed(ctx, about, result, time.Since(began))
		}
	}()
	got = run.Run(ctx, c)
	return got
}

// countTaken counts the items of a job that have run.
func (s *slot) countTaken(ctx context.Context, j job, n int) {
	if meter := s.client.Meter(); meter != nil && n > 0 {
		in := j.route.stage.Ins[0]
		meter.Taken(ctx, trace.Batch{Queue: in.Name, Temporary: in.Owner != "", Source: j.entry.Source, First: j.entry.First, Items: n})
	}
}
