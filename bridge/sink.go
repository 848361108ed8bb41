package bridge

import "context"

// A sink is the channel of a gather. Only the deliverer calls its methods.
type sink[T any] interface {
	// put sends the results of a range of items, and counts them. Before it waits, it reports the
	// results that the program has taken.
	put(ctx context.Context, d *deliverer[T]) error
	// untaken is the number of results in the channel.
	untaken() int
	// takeBack removes the results from the channel, and returns their number.
	takeBack() int
	// last sends the error that ends the stream. The channel is empty, so last does not block.
	last(r Result[T])
	close()
}

// A resultSink is the sink of Gather.
type resultSink[T any] chan Result[T]

func (out resultSink[T]) put(ctx context.Context, d *deliverer[T]) error {
	failed := d.failed
	for i := 0; i < len(d.values); i++ {
		for end := d.firstOf(failed); i < end; i++ {
			if err := send(ctx, d, out, Result[T]{Value: d.values[i], origin: d.origin, at: i}); err != nil {
				return err
			}
			d.sent++
		}
		if len(failed) > 0 {
			if err := send(ctx, d, out, d.failure(failed[0])); err != nil {
				return err
			}
			d.sent++
			failed = failed[1:]
		}
	}
	return nil
}

func (out resultSink[T]) untaken() int { return len(out) }

func (out resultSink[T]) takeBack() (n int) {
	for {
		select {
		case <-out:
			n++
		default:
			return n
		}
	}
}

func (out resultSink[T]) last(r Result[T]) { out <- r }

func (out resultSink[T]) close() { close(out) }

// A sliceSink is the sink of GatherSlices.
type sliceSink[T any] struct {
	out  chan []Result[T]
	lens []int // of the slices that may lie in it
}

func (p *sliceSink[T]) put(ctx context.Context, d *deliverer[T]) error {
	if len(d.values) == 0 {
		return nil
	}
	all := make([]Result[T], len(d.values))
	for i, v := range d.values {
		all[i] = Result[T]{Value: v, origin: d.origin, at: i}
	}
	for _, f := range d.failed {
		all[f.index] = d.failure(f)
	}
	d.report()
	if err := send(ctx, d, p.out, all); err != nil {
		return err
	}
	p.lens = append(p.lens, len(all))
	d.sent += len(all)
	return nil
}

func (p *sliceSink[T]) untaken() (n int) {
	p.lens = p.lens[len(p.lens)-len(p.out):]
	for _, l := range p.lens {
		n += l
	}
	return n
}

func (p *sliceSink[T]) takeBack() (n int) {
	for {
		select {
		case slice := <-p.out:
			n += len(slice)
		default:
			return n
		}
	}
}

func (p *sliceSink[T]) last(r Result[T]) { p.out <- []Result[T]{r} }

func (p *sliceSink[T]) close() { close(p.out) }

// send sends results. Before it waits, it reports those that the program has taken.
func send[T, E any](ctx context.Context, d *deliverer[T], out chan<- E, e E) error {
	select {
	case out <- e:
		return nil
	default:
	}
	d.report()
	d.setWaits(true)
	select {
	case out <- e:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
