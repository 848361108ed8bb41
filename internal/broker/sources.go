package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Limits of Sources: sources of a queue that it reads, and queues or sources in one round trip.
const (
	sourcesOfQueue = 1000
	sourceTrip     = 1000
)

// A SourceState is a source of a root queue as an observer finds it.
type SourceState struct {
	Progress
	Queue     string
	Executor  string // that it goes with, "" for none
	Delivered int64  // offset up to which all leaves that are gathered have delivered, -1 if none is gathered
	Lost      int64  // items that policies have dropped
	Full      bool   // it waits for room in the queue
	Window    bool   // it waits for its gathers
}

// Sources reads the sources of root queues that are not delivered to their end, in the order in
// which they last began, ended or were given up: the first thousand of each queue. It takes one round
// trip for each thousand queues, and one for each thousand sources.
func (c *Client) Sources(ctx context.Context, queues []string) (found []SourceState, err error) {
	for page := range slices.Chunk(queues, sourceTrip) {
		feeds, err := c.feeds(ctx, page)
		if err != nil {
			return nil, err
		}
		for some := range slices.Chunk(feeds, sourceTrip) {
			states, err := c.sources(ctx, some)
			if err != nil {
				return nil, err
			}
			found = append(found, states...)
		}
	}
	return found, nil
}

// A feed is a source of a queue whose fields are not read yet.
type feed struct {
	name    string
	leaves  []string // of the queue
	waiting []string // mailboxes of executors that wait for room in the queue
}

// feeds reads the names of the sources of queues.
func (c *Client) feeds(ctx context.Context, queues []string) (all []feed, err error) {
	names, waiting := make([]*redis.StringSliceCmd, len(queues)), make([]*redis.StringSliceCmd, len(queues))
	leaves := make([]*redis.SliceCmd, len(queues))
	err = c.try(ctx, "read the names of sources", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, queue := range queues {
				names[i] = p.ZRange(ctx, c.keys.sources(queue), 0, sourcesOfQueue-1)
				waiting[i] = p.SMembers(ctx, c.keys.wait(queue))
				leaves[i] = p.HMGet(ctx, c.keys.meta(queue), "leaves")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, queue := range queues {
		for _, name := range names[i].Val() {
			all = append(all, feed{name, strings.Fields(cmp.Or(list(leaves[i].Val()).text(0), queue)), waiting[i].Val()})
		}
	}
	return all, nil
}

// sources reads the fields of sources.
func (c *Client) sources(ctx context.Context, feeds []feed) (found []SourceState, err error) {
	fields := make([]*redis.MapStringStringCmd, len(feeds))
	err = c.try(ctx, "read sources", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, f := range feeds {
				fields[i] = p.HGetAll(ctx, c.keys.source(f.name))
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, f := range feeds {
		if m := fields[i].Val(); m["queue"] != "" { // otherwise it was delivered meanwhile
			s := sourceState(f.name, m, f.leaves)
			s.Full = s.End < 0 && slices.Contains(f.waiting, c.keys.mailbox(s.Executor))
			found = append(found, s)
		}
	}
	return found, nil
}

// sourceState parses the fields of a source.
func sourceState(name string, m map[string]string, leaves []string) SourceState {
	s := SourceState{
		Progress: Progress{
			Name: name, Stored: parseInt(m["stored"]), End: parseInt(cmp.Or(m["end"], "-1")), Cut: m["cut"], Away: m["away"],
			Named: m["named"] == "1", Dropped: parseInt(m["dropped"]) > 0,
		},
		Queue: m["queue"], Executor: m["by"], Delivered: -1, Lost: parseInt(m["dropped"]), Window: m["wait"] != "",
	}
	for _, leaf := range leavesOf(leaves, name) {
		mark, gathered := m["g:"+leaf]
		if !gathered {
			continue
		}
		at := parseInt(mark)
		if mark == "end" {
			at = s.End
		}
		if s.Delivered < 0 || at < s.Delivered {
			s.Delivered = at
		}
	}
	return s
}
