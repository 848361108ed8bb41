package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// A feeder feeds the in-queue of the body with the items of the frontier and, while it has none, with
// seeds. Its goroutine may wait for room.
type feeder[In any] struct {
	seeds   upstream
	feed    *producer.Feed
	encode  func([]byte, In) ([]byte, error)
	results *consumer.Receiver // of the body
	fedBack *frontier[In]
	lease   time.Duration // between two confirmations of the items of the feed
}

// run feeds the queue until no seed comes and the body has no item, and then ends it.
func (f *feeder[In]) run(ctx context.Context) error {
	seeds := f.seeds.r.Pieces()
	look := time.NewTicker(f.lease)
	defer look.Stop()
	for {
		idle := seeds == nil && f.results.DeliveredUpTo(f.feed.Source().Name) == f.feed.Next()
		items := f.fedBack.take() // after the look at the results: a delivered result has added its items
		if idle && len(items) == 0 {
			return ofOther(f.feed.Finish(ctx))
		}
		if err := f.addAll(ctx, items); err != nil {
			return err
		}
		if len(items) > 0 {
			continue
		}
		select {
		case p, ok := <-seeds:
			if !ok {
				if err := f.seeds.finish(); err != nil {
					return err
				}
				seeds = nil
			} else if err := f.pass(ctx, p); err != nil {
				return err
			}
		case <-f.fedBack.changed:
		case <-f.results.Skipped():
		case <-look.C: // the results of items that Redis has lost would not come
			if next := f.feed.Next(); next > 0 {
				if err := f.feed.Confirm(ctx, next); err != nil {
					return ofOther(err)
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// addAll adds items that are fed back.
func (f *feeder[In]) addAll(ctx context.Context, items []In) error {
	for _, item := range items {
		f.add(item)
		if f.feed.Full() {
			if err := f.send(ctx); err != nil {
				return err
			}
		}
	}
	return f.send(ctx)
}

func (f *feeder[In]) add(item In) {
	begun := f.feed.Begin()
	buf, err := f.encode(begun, item)
	f.feed.EndValue(begun, buf, err)
}

// pass adds a range of seeds as they are. The notice of a source is passed on like a failed item.
func (f *feeder[In]) pass(ctx context.Context, p consumer.Range) error {
	n := p.Len()
	copied := copier{feed: f.feed, reader: p.Reader(), lost: p.Entry.Lost}
	for range n {
		copied.next()
		if f.feed.Full() {
			if err := f.send(ctx); err != nil {
				return err
			}
		}
	}
	f.seeds.r.Spent(p)
	if err := f.send(ctx); err != nil {
		return err
	}
	f.seeds.r.Delivered(n)
	return nil
}

func (f *feeder[In]) send(ctx context.Context) error {
	defer func() { f.feed.Limit(f.feed.Portion()) }()
	return ofOther(f.feed.Send(ctx, f.feed.Take()))
}

// A copier copies the items of a range to a feed without decoding them.
type copier struct {
	feed   *producer.Feed
	reader batch.Reader
	lost   *batch.Failure // each item is that failure
}

// next copies the next item.
func (c *copier) next() {
	begun := c.feed.Begin()
	if c.lost != nil {
		c.feed.Fail(begun, *c.lost)
		return
	}
	if item, failed, _ := c.reader.Next(); failed { // the range has the item
		c.feed.Fail(begun, batch.ParseFailure(item))
	} else {
		c.feed.End(append(begun, item...))
	}
}

// fail replaces the next item by a failure.
func (c *copier) fail(why batch.Failure) {
	if c.lost == nil {
		_, _, _ = c.reader.Next()
	}
	c.feed.Fail(c.feed.Begin(), why)
}
