package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// SourcePage is the number of sources of a queue that Sources reads.
const SourcePage = 1000

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
// which they last began, ended or were given up: the first thousand of each queue. It takes two round
// trips.
func (c *Client) Sources(ctx context.Context, queues []string) (found []SourceState, err error) {
	if len(queues) == 0 {
		return nil, nil
	}
	err = c.try(ctx, "read sources", func(ctx context.Context) error {
		found, err = c.sources(ctx, queues)
		return err
	})
	return found, err
}

func (c *Client) sources(ctx context.Context, queues []string) (found []SourceState, err error) {
	names := make([]*redis.StringSliceCmd, len(queues))
	waiting := make([]*redis.StringSliceCmd, len(queues))
	if _, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			names[i] = p.ZRange(ctx, c.keys.sources(queue), 0, SourcePage-1)
			waiting[i] = p.SMembers(ctx, c.keys.wait(queue))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var fields []*redis.MapStringStringCmd
	var leaves []*redis.SliceCmd
	if _, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			leaves = append(leaves, p.HMGet(ctx, c.keys.meta(queue), "leaves"))
			for _, name := range names[i].Val() {
				fields = append(fields, p.HGetAll(ctx, c.keys.source(name)))
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for i, queue := range queues {
		for _, name := range names[i].Val() {
			m := fields[0].Val()
			fields = fields[1:]
			if m["queue"] != "" { // it was delivered meanwhile
				s := sourceState(name, m, strings.Fields(cmp.Or(list(leaves[i].Val()).text(0), queue)))
				s.Full = s.End < 0 && slices.Contains(waiting[i].Val(), c.keys.mailbox(s.Executor))
				found = append(found, s)
			}
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
	for _, leaf := range leaves {
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
