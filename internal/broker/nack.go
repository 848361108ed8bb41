package broker

import (
	"context"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// An Item identifies one item of a gathered queue.
type Item struct {
	Source string // its name in the queue, see Root
	Offset int64
}

func (i Item) field() string { return i.Source + " " + strconv.FormatInt(i.Offset, 10) }

func itemOf(field string) Item {
	source, offset, _ := strings.Cut(field, " ")
	return Item{source, parseInt(offset)}
}

// A Nacked is an item that its consumer has given back.
type Nacked struct {
	Item
	Deliveries int64
	Stamp      string         // of its entry
	Dead       *batch.Failure // why it becomes a dead letter; nil: it does not
	Frame      []byte         // of the dead letter, with that item alone
}

// nackBytes is about how many bytes of frames one call carries.
const nackBytes = 1 << 20

// Nack stores how often items were delivered, so that a successor of the gather continues the
// count, until Ack deletes it. It makes a dead letter of each item with Dead, once. It is safe to
// repeat.
func (c *Client) Nack(ctx context.Context, g Gather, items []Nacked) error {
	k, q := c.keys, g.Queue.Name
	what := "give items of queue " + q + " back"
	for len(items) > 0 {
		args := []any{g.reader(), q, k.payload(""), maxDead}
		n, bytes := 0, 0
		for ; n < len(items) && bytes < nackBytes; n++ {
			item, why := items[n], []byte{}
			if item.Dead != nil {
				why = item.Dead.Append(nil)
			}
			args = append(args, item.Source, item.Offset, item.Deliveries, item.Stamp, why, item.Frame)
			bytes += len(item.Frame)
		}
		reply, err := c.run(ctx, what, scripts.nack, []string{k.meta(q), k.nacked(q), k.dead()}, args...)
		if err != nil {
			return err
		}
		status, _ := reply.(string)
		if err := checkStatus(what, status); err != nil {
			return c.Lost(ctx, g.Queue, err)
		}
		items = items[n:]
	}
	return nil
}

// Nacked returns the delivery counts of the items that were given back before the gather began. The
// count of a dead letter is negative.
func (g Gather) Nacked() map[Item]int64 { return g.nacked }

// readNacked reads the delivery counts that Nack has stored.
func (c *Client) readNacked(ctx context.Context, queue string) (map[Item]int64, error) {
	fields, err := c.scan(ctx, "read the deliveries of queue "+queue, c.keys.nacked(queue))
	if err != nil {
		return nil, err
	}
	nacked := make(map[Item]int64, len(fields))
	for field, n := range fields {
		nacked[itemOf(field)] = parseInt(n)
	}
	return nacked, nil
}
