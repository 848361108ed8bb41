package broker

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// PeekOrder is the order in which Peek is called for the streams of a queue.
func PeekOrder() []StreamKind { return []StreamKind{Fresh, Returned, Suspect, delayed} }

// A Peeked is an entry of a queue that was read without taking it.
type Peeked struct {
	Entry Entry // its frame is nil if it is in a payload key and not small, see PeekPayload
	Held  bool  // a consumer has read it and not finished
}

// PeekPayload is the size of the largest payload that Peek reads. Only a batch of one large item is
// larger.
const PeekPayload = maxSized

// Peek reads at most count entries of a stream, from the entry with an id on, without taking them. ""
// reads from the start. It takes a round trip, and another one if some have payload keys.
func (c *Client) Peek(ctx context.Context, at StreamRef, from string, count int) (found []Peeked, err error) {
	if from == "" {
		from = "-"
	}
	stream := c.keys.streamOf(at)
	var entries, groups *redis.Cmd
	err = c.try(ctx, "read queue "+at.Queue, func(ctx context.Context) error {
		pipe := c.rdb.Pipeline()
		entries, groups = pipe.Do(ctx, "XRANGE", stream, from, "+", "COUNT", count), pipe.Do(ctx, "XINFO", "GROUPS", stream)
		_, _ = pipe.Exec(ctx) // each command keeps its own error
		if err := groups.Err(); err != nil && !hasCode(err, "no such key") {
			return err
		}
		return entries.Err()
	})
	if err != nil {
		return nil, err
	}
	read := lastRead(asList(groups.Val()))
	small := []Entry{}
	for i := range asList(entries.Val()) {
		e := entryOf(at, asList(entries.Val()).list(i))
		found = append(found, Peeked{Entry: e, Held: !isAfter(e.ID, read)})
		if e.Payload != "" && e.Size <= PeekPayload {
			small = append(small, e)
		}
	}
	err = c.Fetch(ctx, nil, small)
	for i := range found {
		if e := &found[i].Entry; e.Payload != "" && e.Size <= PeekPayload {
			*e, small = small[0], small[1:]
		}
	}
	return found, err
}

// lastRead returns the id of the last entry that the readers of a stream have read, "0-0" if none has.
func lastRead(groups list) string {
	for i := range groups {
		if fields := groups.list(i).fields(); fields["name"] == "w" {
			return fields["last-delivered-id"]
		}
	}
	return "0-0"
}

// isAfter reports whether an id of an entry is behind another one.
func isAfter(id, other string) bool {
	ms, seq, _ := strings.Cut(id, "-")
	otherMs, otherSeq, _ := strings.Cut(other, "-")
	if parseInt(ms) != parseInt(otherMs) {
		return parseInt(ms) > parseInt(otherMs)
	}
	return parseInt(seq) > parseInt(otherSeq)
}
