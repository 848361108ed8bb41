package executor

import (
	"cmp"
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// A collector reads the results of the body, adds the items to the frontier that they lead to, and passes
// the results to the out-queue.
type collector[In, Out any] struct {
	results upstream
	from    string // the queue of the results
	typed   codec.Typed[Out]
	next    func(context.Context, Out) ([]In, error)
	fedBack *frontier[In]
	backgroundFeed
	stage string // the out-queue

	values []Out
	failed map[int]batch.Failure
}

// run collects results until the body has ended.
func (c *collector[In, Out]) run(ctx context.Context) error {
	for {
		select {
		case p, ok := <-c.results.r.Pieces():
			if !ok {
				return cmp.Or(c.flush(ctx), c.results.finish())
			}
			if err := c.collect(ctx, p); err != nil {
				return err
			}
		case <-c.ready():
			c.pass()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// end says that the collector reads and sends nothing more.
func (c *collector[In, Out]) end() {
	c.results.r.Left()
	close(c.pending)
}

// collect handles a range of results. The items that they lead to are fed back before the out-queue has
// room for the results.
func (c *collector[In, Out]) collect(ctx context.Context, p consumer.Range) error {
	c.failed = nil
	clear(c.values)
	fail := func(i int, why *batch.Failure) {
		if c.failed == nil {
			c.failed = map[int]batch.Failure{}
		}
		c.failed[i] = *why
	}
	c.values = c.typed.Results(p.Reader(), p.Len(), p.Entry.Lost, c.from, c.values[:0], fail)
	for i, v := range c.values {
		if _, failed := c.failed[i]; failed {
			continue
		}
		items, why := c.leadsTo(ctx, v)
		if why != nil {
			fail(i, why)
		}
		c.fedBack.add(items)
	}
	copied := copier{feed: c.feed, reader: p.Reader(), lost: p.Entry.Lost}
	c.results.r.Delivered(p.Len())
	c.fedBack.signal()
	for i := range p.Len() {
		if why, failed := c.failed[i]; failed {
			copied.fail(why)
		} else {
			copied.next()
		}
		if c.feed.Full() {
			if err := c.flush(ctx); err != nil {
				return err
			}
		}
	}
	if c.typed.Copies() {
		c.results.r.Spent(p)
	}
	return nil
}

// leadsTo calls the user's function for a result. Its error and its panic are the failure of the result.
func (c *collector[In, Out]) leadsTo(ctx context.Context, v Out) (items []In, why *batch.Failure) {
	code := batch.CodeError
	var err error
	func() {
		defer func() {
			if r := recover(); r != nil {
				code, err = batch.CodePanic, batch.NewCrash("next", r)
			}
		}()
		items, err = c.next(ctx, v)
	}()
	if err == nil {
		return items, nil
	}
	text, stack := batch.Describe(err)
	return nil, &batch.Failure{Code: code, Message: text, Stack: stack, Stage: c.stage}
}

// A backgroundFeed sends the batches of a feed in a goroutine of its own, while its owner collects the next ones.
type backgroundFeed struct {
	feed    *producer.Feed
	idle    chan struct{}      // has a token while no batch is being sent
	pending chan []batch.Batch // to be sent; the token has room for it
}

func newBackgroundFeed(feed *producer.Feed) backgroundFeed {
	o := backgroundFeed{feed: feed, idle: make(chan struct{}, 1), pending: make(chan []batch.Batch, 1)}
	o.idle <- struct{}{}
	return o
}

// run sends until pending is closed.
func (o *backgroundFeed) run(ctx context.Context) error {
	for batches := range o.pending {
		if err := o.feed.Send(ctx, batches); err != nil {
			return err
		}
		o.idle <- struct{}{}
	}
	return nil
}

// ready returns the channel of the token if there are items to send, otherwise nil.
func (o *backgroundFeed) ready() <-chan struct{} {
	if o.feed.Len() == 0 {
		return nil
	}
	return o.idle
}

// pass gives the collected items to run. The caller has taken the token.
func (o *backgroundFeed) pass() {
	o.pending <- o.feed.Take()
	o.feed.Limit(o.feed.Portion())
}

// flush waits until run can take the collected items.
func (o *backgroundFeed) flush(ctx context.Context) error {
	if o.feed.Len() == 0 {
		return nil
	}
	select {
	case <-o.idle:
		o.pass()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
