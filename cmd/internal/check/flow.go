package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// A flow is a queue, a stage of the function, and the results.
type flow struct {
	in, out *executor.Queue[codec.Item]
	results <-chan bridge.Result[codec.Item]
}

// ahead is the largest number of items between the scatter and the check. The worker has work as
// long as the check takes results.
const ahead = 1000

// flow sends inputs through a function.
func (c *Checker) flow(ctx context.Context, name string, inputs []codec.Item, opts ...executor.MapOption) (f flow, err error) {
	if f.in, err = bridge.ScatterSeq(ctx, c.Executor, slices.Values(inputs), bridge.MaxInFlight(ahead)); err != nil {
		return f, err
	}
	if f.out, err = executor.Map(ctx, workers.Remote[codec.Item, codec.Item](name), f.in, opts...); err != nil {
		return f, err
	}
	f.results, err = bridge.Gather(ctx, f.out, bridge.Buffer(0))
	return f, err
}

// compare takes n results, the first of which is number from, and compares them with the expected
// ones.
func (c *Checker) compare(f flow, from, n int) error {
	for i := from; i < from+n; i++ {
		r, ok := <-f.results
		switch {
		case !ok:
			return fmt.Errorf("the stream ends after %d of %d results", i, from+n)
		case r.Err != nil:
			return fmt.Errorf("result %d: %w", i, r.Err)
		case !bytes.Equal(r.Value, c.expected[i%len(c.expected)]):
			return fmt.Errorf("result %d is %.60q, not %.60q", i, r.Value, c.expected[i%len(c.expected)])
		}
	}
	return nil
}

// end returns an error if there is a further result.
func (f flow) end() error {
	if r, ok := <-f.results; ok {
		return errors.Join(fmt.Errorf("an extra result: %.60q", r.Value), r.Err)
	}
	return nil
}

// plant makes a queue with one entry of inputs that counts a number of crashes, and then the stage
// of the function. The caller deletes both queues.
func (c *Checker) plant(ctx context.Context, inputs []codec.Item, crashes int) (f flow, err error) {
	var b batch.Builder
	for _, item := range inputs {
		b.Value(item)
	}
	name := newName()
	part, err := c.client.Place(ctx, name, -1)
	if err != nil {
		return f, err
	}
	q, _, err := part.Declare(ctx, broker.Queue{Name: name, Codec: c.function.InCodec, Type: c.function.In})
	if err != nil {
		return f, err
	}
	source, _, err := part.Source(ctx, "s."+q.Name, q, 1)
	if err != nil {
		return f, err
	}
	entry := batch.Batch{Source: source.Name, N: len(inputs), Frame: b.Take()}
	if _, err := part.Scatter(ctx, source, source.Name, broker.Window{}, []broker.Parcel{{Batch: entry}}); err != nil {
		return f, err
	}
	if err := part.Finish(ctx, source, int64(len(inputs))); err != nil {
		return f, err
	}
	if crashes > 0 {
		if err := part.Suspect(ctx, q.Name, crashes); err != nil {
			return f, err
		}
	}
	if f.in, err = executor.Open[codec.Item](ctx, c.Executor, q.Name); err != nil {
		return f, err
	}
	f.out, err = executor.Map(ctx, workers.Remote[codec.Item, codec.Item](c.Name), f.in, executor.Name(newName()))
	return f, err
}

// drop deletes the queues of a planted flow.
func (f flow) drop(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, q := range []*executor.Queue[codec.Item]{f.out, f.in} {
		if q != nil {
			_ = q.Delete(ctx)
		}
	}
}

// asItem returns err as the failure of an item.
func asItem(err error) (*executor.ItemError, error) {
	var failed *executor.ItemError
	switch {
	case err == nil:
		return nil, errors.New("the item has a value and should have failed")
	case !errors.As(err, &failed):
		return nil, err
	}
	return failed, nil
}
