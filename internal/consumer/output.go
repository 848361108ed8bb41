package consumer

import (
	"context"
	"runtime"
)

// maxReadAhead is how many ranges wait in the channel of an output.
const maxReadAhead = 4

// An output hands out ranges to the goroutine that delivers their items. The tracker knows of each
// range before it is handed out.
type output struct {
	ranges  chan Range
	tracker *tracker
}

func newOutput(t *tracker) *output {
	return &output{ranges: make(chan Range, maxReadAhead), tracker: t}
}

// put registers a range with the tracker and sends it, in several parts if the tracker cuts it. It
// blocks while the channel is full, and while too many items are not acknowledged.
func (o *output) put(ctx context.Context, rg Range) error {
	for rg.Len() > 0 {
		head, rest, err := o.tracker.add(ctx, rg)
		if err != nil {
			return err
		}
		if err := o.send(ctx, head); err != nil {
			return err
		}
		rg = rest
	}
	return nil
}

// send sends a range that the tracker knows.
func (o *output) send(ctx context.Context, rg Range) error {
	select {
	case o.ranges <- rg:
		runtime.Gosched() // the receiver delivers it before this goroutine writes its next request
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *output) close() { close(o.ranges) }
