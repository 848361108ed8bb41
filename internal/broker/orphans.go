package broker

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limits of Orphans.
const (
	scanCount    = 100     // keys that Redis looks at in one call of SCAN
	scanCalls    = 20      // of SCAN
	namesPage    = 500     // entries of one call of its script
	namesCalls   = 40      // calls in one round trip
	namesEntries = 100_000 // that are compared
)

// Orphans are payloads that no entry has and that stay for ever, among a sample of them.
type Orphans struct {
	Sampled int      // payloads that were looked at
	Keys    []string // of the orphans, sorted
	// Entries is the number of entries in all streams if there are too many to compare them with the
	// sample, and otherwise 0.
	Entries int64
}

// Orphans looks at about most payloads of the partition, other ones in each call. A payload that is being
// written has its lifetime, and so is none. An entry may move to another stream while the streams are read:
// a payload that seems to be an orphan is compared again after a pause. It reads at most 100,000 entries, in pages
// of 500, and no frames. ErrDenied: the Redis user may not call SCAN or PTTL.
func (c *Client) Orphans(ctx context.Context, most int, pause time.Duration) (o Orphans, err error) {
	sample, err := c.samplePayloads(ctx, most)
	if err != nil {
		return o, err
	}
	o.Sampled = len(sample)
	left, err := c.lasting(ctx, sample)
	for round := 0; round < 2 && len(left) > 0 && err == nil; round++ {
		if round > 0 {
			select {
			case <-ctx.Done():
				return o, context.Cause(ctx)
			case <-time.After(pause):
			}
		}
		var named map[string]bool
		if named, o.Entries, err = c.payloadsOfEntries(ctx); err != nil || o.Entries > 0 {
			return o, err
		}
		left = slices.DeleteFunc(left, func(key string) bool { return named[strings.TrimPrefix(key, c.keys.payload(""))] })
		left, err = c.lasting(ctx, left)
	}
	slices.Sort(left)
	o.Keys = left
	return o, err
}

// samplePayloads returns about most keys of payloads. It begins anywhere.
func (c *Client) samplePayloads(ctx context.Context, most int) ([]string, error) {
	node, err := c.node(ctx)
	if err != nil {
		return nil, err
	}
	found, cursor := map[string]bool{}, uint64(rand.Int64()) //nolint:gosec // a sample
	for call, whole := 0, false; call < scanCalls && len(found) < most && !whole; call++ {
		begun := cursor == 0
		var page []string
		err := c.try(ctx, "look for payloads", func(ctx context.Context) error {
			page, cursor, err = node.Scan(ctx, cursor, c.keys.payload("*"), scanCount).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, key := range page {
			found[key] = true
		}
		whole = begun && cursor == 0
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	return keys[:min(len(keys), most)], nil // some servers reply with all
}

// lasting returns those of some keys that exist and have no lifetime.
func (c *Client) lasting(ctx context.Context, keys []string) (found []string, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var lives []redis.Cmder
	err = c.try(ctx, "read the lifetimes of payloads", func(ctx context.Context) error {
		lives, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.PTTL(ctx, key)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, life := range lives {
		if left, ok := life.(*redis.DurationCmd); ok && left.Val() == -1 {
			found = append(found, keys[i])
		}
	}
	return found, nil
}

// payloadsOfEntries returns the payloads of the entries of all queues, and of the dead letters. If there
// are too many entries, it returns their number instead.
func (c *Client) payloadsOfEntries(ctx context.Context) (named map[string]bool, tooMany int64, err error) {
	streams, entries, err := c.streams(ctx)
	if err != nil || entries > namesEntries {
		return nil, entries, err
	}
	named = map[string]bool{}
	pages := make([]namesOf, len(streams))
	for i, stream := range streams {
		pages[i] = namesOf{stream, "-"}
	}
	for len(pages) > 0 {
		some := pages[:min(len(pages), namesCalls)]
		replies, err := c.readNames(ctx, some)
		if err != nil {
			return nil, 0, err
		}
		var further []namesOf
		for i, page := range some {
			reply := asList(replies[i].Val())
			if last := reply.text(0); last != "" {
				further = append(further, namesOf{page.stream, "(" + last})
			}
			for k := range reply[min(1, len(reply)):] {
				named[reply.text(k+1)] = true
			}
		}
		pages = append(further, pages[len(some):]...)
	}
	return named, 0, nil
}

// namesOf is a page of a stream.
type namesOf struct{ stream, from string }

// streams returns the streams of all queues that have entries, and that of the dead letters, with the
// number of all entries. An entry moves to a later one of these.
func (c *Client) streams(ctx context.Context) (streams []string, entries int64, err error) {
	var queues []string
	err = c.try(ctx, "list the queues", func(ctx context.Context) error {
		queues, err = c.rdb.SMembers(ctx, c.keys.queues()).Result()
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	var all []string
	for _, key := range []func(string) string{c.keys.stream, c.keys.delayed, c.keys.returns, c.keys.suspects} {
		for _, queue := range queues {
			all = append(all, key(queue))
		}
	}
	all = append(all, c.keys.dead())
	lengths := make([]*redis.IntCmd, len(all))
	err = c.try(ctx, "read the lengths of queues", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, stream := range all {
				lengths[i] = p.XLen(ctx, stream)
			}
			return nil
		})
		if hasCode(err, "WRONGTYPE") { // a broken queue has no entries
			return nil
		}
		return err
	})
	for i, stream := range all {
		if n := lengths[i].Val(); n > 0 {
			streams, entries = append(streams, stream), entries+n
		}
	}
	return streams, entries, err
}

// readNames reads pages of streams. If the server does not know the script, a call with its text comes
// first, as in sendLook.
func (c *Client) readNames(ctx context.Context, pages []namesOf) (replies []*redis.Cmd, err error) {
	err = c.try(ctx, "read the payloads of entries", func(ctx context.Context) error {
		replies, err = c.pipeNames(ctx, pages)
		if !hasCode(err, "NOSCRIPT") {
			return err
		}
		if err = scripts.payloads.Eval(ctx, c.rdb, []string{pages[0].stream}, "-", 1).Err(); err != nil {
			return err
		}
		replies, err = c.pipeNames(ctx, pages)
		return err
	})
	return replies, err
}

func (c *Client) pipeNames(ctx context.Context, pages []namesOf) (replies []*redis.Cmd, err error) {
	_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, page := range pages {
			replies = append(replies, scripts.payloads.EvalSha(ctx, p, []string{page.stream}, page.from, namesPage))
		}
		return nil
	})
	return replies, err
}
