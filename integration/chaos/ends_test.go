package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// produce feeds a named queue until end is closed. It continues after the items of its predecessor.
func (r role) produce(ctx context.Context, ex *executor.Executor, b *book, end <-chan struct{}) error {
	in := make(chan string)
	opts := []bridge.ScatterOption{bridge.Name(r.Queue)}
	if !r.Mortal {
		opts = append(opts, bridge.DurableSource(fmt.Sprint("source-", r.Source)))
	}
	q, err := bridge.Scatter(ctx, ex, in, r.scatterOptions(opts...)...)
	if err != nil {
		return err
	}
	return r.feed(ctx, q, b, in, q.Stored(), end)
}

func (r role) scatterOptions(opts ...bridge.ScatterOption) []bridge.ScatterOption {
	if r.Max > 0 {
		opts = append(opts, bridge.MaxSize(r.Max))
	}
	return opts
}

// feed returns when all items are stored.
func (r role) feed(ctx context.Context, q *executor.Queue[string], b *book, in chan<- string, stored int64, end <-chan struct{}) error {
	feeding, stop := context.WithCancel(ctx)
	fed := make(chan int64, 1)
	go func() { fed <- r.send(feeding, b, in, stored, end) }()
	<-q.Done()
	err := q.Err()
	stop()
	if n := <-fed; err == nil {
		b.write(record{event: kept, source: r.Source, offset: n})
	}
	return err
}

// send sends numbered items from n on, at a rate. It returns the number after the last one.
func (r role) send(ctx context.Context, b *book, in chan<- string, n int64, end <-chan struct{}) int64 {
	const ticks = 200 // per second
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for told := false; !told || n < r.Items; {
		for range max(1, r.Rate/ticks) {
			b.write(record{event: intended, source: r.Source, offset: n})
			select {
			case in <- item(r.Source, n):
				n++
			case <-ctx.Done():
				return n
			}
		}
		select {
		case <-end:
			told, end = true, nil
		case <-tick.C:
		case <-ctx.Done():
			return n
		}
	}
	b.write(record{event: ended, source: r.Source, offset: n})
	close(in)
	return n
}

// gather takes the results of the named queue. It waits for the queue, and for the lease of a dead
// gather.
func (r role) gather(ctx context.Context, ex *executor.Executor, b *book) error {
	for {
		q, err := executor.Open[string](ctx, ex, r.Queue)
		if err == nil {
			err = r.take(ctx, ex, b, q)
		}
		if !errors.Is(err, executor.ErrQueueNotFound) && !errors.Is(err, executor.ErrConsumerExists) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// take records the results of the flow.
func (r role) take(ctx context.Context, ex *executor.Executor, b *book, q *executor.Queue[string]) error {
	var bounds []executor.MapOption
	if r.Max > 0 {
		bounds = append(bounds, executor.MaxSize(r.Max))
	}
	if r.Apart {
		bounds = append(bounds, executor.NoFuse())
	}
	q, err := executor.Map(ctx, first, q, bounds...)
	if err != nil {
		return err
	}
	if q, err = executor.Map(ctx, second, q, bounds...); err != nil {
		return err
	}
	var opts []bridge.GatherOption
	if r.Manual {
		opts = append(opts, bridge.ManualAck())
	}
	out, err := bridge.Gather(ctx, q, opts...)
	if err != nil {
		return err
	}
	for result := range out {
		if result.Err != nil && !bridge.IsItemError(result.Err) && !bridge.IsSourceError(result.Err) {
			b.write(record{event: broken})
			return result.Err
		}
		switch {
		case errors.Is(result.Err, executor.ErrSourceOffline):
			fmt.Fprintln(os.Stderr, result.Err) // a notice without an item
		case errors.Is(result.Err, executor.ErrLost):
			fmt.Fprintln(os.Stderr, result.Err)
			b.write(record{event: lost})
		case result.Err != nil:
			fmt.Fprintln(os.Stderr, result.Err)
			b.write(record{event: failed})
		default:
			b.taken(result.Value)
		}
		result.Ack()
	}
	b.write(record{event: closed})
	return nil
}

// bridge sends two sources and takes their union, over unnamed queues.
func (r role) bridge(ctx context.Context, ex *executor.Executor, b *book, end <-chan struct{}) error {
	queues, fed := make([]*executor.Queue[string], 2), make(chan error, 2)
	for i := range queues {
		in := make(chan string)
		var err error
		if queues[i], err = bridge.Scatter(ctx, ex, in, r.scatterOptions()...); err != nil {
			return err
		}
		own := r
		own.Source = uint16(i + 1)
		go func() { fed <- own.feed(ctx, queues[i], b, in, 0, end) }()
	}
	q, err := executor.Merge(ctx, queues[0], queues[1])
	if err != nil {
		return err
	}
	return errors.Join(r.take(ctx, ex, b, q), <-fed, <-fed)
}

// futures calls the functions for one slice of items after another.
func (r role) futures(ctx context.Context, ex *executor.Executor, b *book, end <-chan struct{}) error {
	const slice = 200
	n := int64(0)
	for told := false; !told; {
		items := make([]string, slice)
		for i := range items {
			b.write(record{event: intended, source: r.Source, offset: n + int64(i)})
			items[i] = item(r.Source, n+int64(i))
		}
		b.write(record{event: kept, source: r.Source, offset: n + slice})
		for _, f := range []workers.Func[string, string]{first, second} {
			futures, err := executor.MapSlice(ctx, ex, f, items)
			if err != nil {
				return err
			}
			if items, err = executor.GatherSlice(ctx, futures); err != nil {
				return err
			}
		}
		for _, result := range items {
			b.taken(result)
		}
		n += slice
		select {
		case <-end:
			told = true
		default:
		}
	}
	b.write(record{event: ended, source: r.Source, offset: n})
	b.write(record{event: closed})
	return nil
}

// taken records the item that a result proves.
func (b *book) taken(result string) {
	source, offset, ok := proves(result)
	if !ok {
		fmt.Fprintf(os.Stderr, "%.100q is the result of no item\n", result)
		b.write(record{event: alien})
		return
	}
	b.write(record{event: got, source: source, offset: offset})
}
