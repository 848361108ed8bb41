package broker

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Sighting is an entry that holds an item, as an observer finds it.
type Sighting struct {
	Entry  Entry         // without its frame
	Holder string        // consumer that has read it, "" if none has
	Held   time.Duration // since then
	Due    time.Time     // of a delayed entry; zero for others
}

// FindItem looks for the entry of an item in the streams of a queue, in the order in which entries move
// between them. source is the name of its source in this queue, and gather the consumer of a queue
// that is gathered. Each 500 entries of the queue cost a round trip, until the entry is found. found
// is false if the queue does not have the item, or is gone.
func (c *Client) FindItem(ctx context.Context, queue, gather, source string, offset int64) (s Sighting, found bool, err error) {
	g := Gather{ID: gather}
	if gather != "" {
		g.Queue.Name = queue
	}
	for _, kind := range auditOrder {
		a := Audit{Found: map[string]Found{}, Above: map[string][]Found{}}
		err := c.look(ctx, g, "", StreamRef{queue, kind}, []Gap{{source, offset}}, &a)
		switch at, ok := a.Found[source]; {
		case IsGone(err):
			return Sighting{}, false, nil
		case err != nil:
			return Sighting{}, false, err
		case ok:
			if s, found, err = c.sight(ctx, at.Ref); found || err != nil {
				return s, found, err
			}
		}
	}
	return Sighting{}, false, nil
}

// sight reads an entry and its holder. found is false if the entry has moved meanwhile.
func (c *Client) sight(ctx context.Context, at Ref) (s Sighting, found bool, err error) {
	var entry *redis.Cmd
	var pending *redis.Cmd
	var due *redis.FloatCmd
	stream := c.keys.streamOf(at.Stream())
	err = c.try(ctx, "read an entry of queue "+at.Queue, func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			entry = p.Do(ctx, "XRANGE", stream, at.ID, at.ID)
			pending = p.Do(ctx, "XPENDING", stream, "w", at.ID, at.ID, 1)
			due = p.ZScore(ctx, c.keys.due(), at.Queue+" "+at.ID)
			return nil
		})
		if errors.Is(err, redis.Nil) || hasCode(err, "NOGROUP") { // it is not delayed; the stream of delayed entries has no group
			return nil
		}
		return err
	})
	raw := asList(entry.Val())
	if err != nil || len(raw) == 0 {
		return Sighting{}, false, err
	}
	s.Entry = entryOf(at.Stream(), raw.list(0))
	s.Entry.Frame = nil
	if held := asList(pending.Val()).list(0); held != nil {
		s.Holder, s.Held = held.text(1), time.Duration(held.number(2))*time.Millisecond
	}
	if ms := due.Val(); ms > 0 && at.Kind == delayed { // an entry of another stream may have the same id
		s.Due = time.UnixMilli(int64(ms))
	}
	return s, true, nil
}

// SourceOf reads a source. found is false if there is none of that name.
func (c *Client) SourceOf(ctx context.Context, name string) (s SourceState, found bool, err error) {
	var fields map[string]string
	err = c.try(ctx, "read source "+name, func(ctx context.Context) error {
		fields, err = c.rdb.HGetAll(ctx, c.keys.source(name)).Result()
		return err
	})
	if err != nil || fields["queue"] == "" {
		return SourceState{}, false, err
	}
	return sourceState(name, fields, []string{fields["queue"]}), true, nil
}

// MarkOf returns the delivered mark of a source in a gathered queue, "" if there is none.
func (c *Client) MarkOf(ctx context.Context, queue, source string) (mark string, err error) {
	err = c.try(ctx, "read a mark of queue "+queue, func(ctx context.Context) error {
		mark, err = c.rdb.HGet(ctx, c.keys.marks(queue), source).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	return mark, err
}
