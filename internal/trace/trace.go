// Package trace is the seam between the engine and package tracing. The engine passes the traces of
// batches on as texts, with spaces between, and a Tracer makes spans of them.
package trace

import (
	"context"
	"slices"
	"strings"
	"time"
)

// most is the number of traces that a batch has at most; further ones are left out. Each is 55
// bytes in Redis.
const most = 16

// A Batch is the items of a span.
type Batch struct {
	Queue     string
	Temporary bool // the queue has no name of its own
	Source    string
	First     int64
	Items     int
}

// A Call is the call of a function on a batch.
type Call struct {
	Batch
	Stage    string
	Function string
	Attempt  int
}

// A Result is the end of a call.
type Result struct {
	Items  int    // that the function ran on
	Failed int    // attempts that failed
	Code   string // of one of these
}

// A Tracer makes spans. Any goroutine may call its methods.
type Tracer interface {
	// Parent returns the trace of a context, "" if it has no sampled span.
	Parent(ctx context.Context) string
	// Send begins a span in a trace for a batch that a scatter is about to store. It returns the
	// trace behind that span, "" and nil if the span is not sampled.
	Send(ctx context.Context, parent string, b Batch) (behind string, end func(error))
	// Process begins the span of a call on a batch with some traces. The function gets the context.
	Process(ctx context.Context, traces string, c Call) (context.Context, func(Result))
	// Receive begins the span of the delivery of a batch with some traces.
	Receive(ctx context.Context, traces string, b Batch) (end func(error))
}

// A Meter counts items and measures calls. Any goroutine may call its methods.
type Meter interface {
	// Sent counts the items of a batch that was stored.
	Sent(ctx context.Context, b Batch)
	// Received counts items that a gather hands out.
	Received(ctx context.Context, b Batch)
	// Taken counts items of a queue that a worker has run.
	Taken(ctx context.Context, b Batch)
	// Processed measures a call.
	Processed(ctx context.Context, c Call, r Result, took time.Duration)
}

// Add adds traces that a list does not have yet.
func Add(list, traces string) string {
	if list == "" || traces == list {
		return traces
	}
	all := strings.Fields(list)
	for one := range strings.FieldsSeq(traces) {
		if len(all) < most && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return strings.Join(all, " ")
}
