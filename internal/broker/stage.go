package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The kinds of stages.
const (
	KindMap    = "map"    // a function, one output for an input
	KindCopy   = "copy"   // no function: every out-queue gets the items
	KindFuture = "future" // a function whose results are keys
)

// A Stage is work that the fleet does: it takes from In and adds to Outs.
type Stage struct {
	V        int           `json:"v"`
	ID       string        `json:"id"`
	Seq      int64         `json:"seq"` // stages made later come after
	Kind     string        `json:"kind"`
	Function string        `json:"fn,omitempty"`
	Ins      []Queue       `json:"ins"`
	Outs     []Out         `json:"outs"`
	InCodec  string        `json:"incodec,omitempty"`
	InType   string        `json:"intype,omitempty"`
	OutCodec string        `json:"outcodec,omitempty"`
	OutType  string        `json:"outtype,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // of an item, ns
	Retries  int           `json:"retries,omitempty"`
	// Pause before the second attempt, ns, and the longest, to which it doubles.
	Backoff    time.Duration `json:"backoff,omitempty"`
	MaxBackoff time.Duration `json:"backoffmax,omitempty"`
	NoFuse     bool          `json:"nofuse,omitempty"` // not run with the stage before or behind it
	TTL        time.Duration `json:"ttl,omitempty"`    // of a future's result, ns
	Reply      string        `json:"reply,omitempty"`  // executor to tell about futures
}

// An Out is a queue that a stage adds to. Branch is the end of the names of
// its sources there, "" where they keep theirs.
type Out struct {
	Queue
	Branch string `json:"branch,omitempty"`
}

// queues are the names of those that it reads, and then of those that it adds to.
func (s Stage) queues() (names []string) {
	for _, in := range s.Ins {
		names = append(names, in.Name)
	}
	for _, out := range s.Outs {
		names = append(names, out.Name)
	}
	return names
}

// Stage makes a stage the consumer of its in-queues and tells the workers.
func (c *Client) Stage(ctx context.Context, s Stage) error {
	s.V, s.Seq = 1, time.Now().UnixNano()
	record, err := json.Marshal(s)
	if err != nil {
		return err
	}
	reply, err := c.run(ctx, "make stage "+s.ID, scripts.stage, c.stageKeys(s), s.ID, record, c.keys.mailbox(""), len(s.Ins))
	if err != nil {
		return err
	}
	l := asList(reply)
	switch l.text(0) {
	case "gone":
		return fmt.Errorf("queue %q: %w", s.queues()[l.number(1)], ErrNoQueue)
	case "taken":
		return taken(s.Ins[l.number(1)].Name, l.text(2))
	}
	return nil
}

func taken(queue, consumer string) error {
	return fmt.Errorf("queue %q: %w, %s: use executor.Multiplex to make equal queues of it, one for each consumer",
		queue, ErrTaken, consumer)
}

// Unstage removes a stage.
func (c *Client) Unstage(ctx context.Context, s Stage) error {
	_, err := c.run(ctx, "remove stage "+s.ID, scripts.unstage, c.stageKeys(s), s.ID, c.keys.mailbox(""))
	return err
}

// stageKeys are those that making and removing a stage is about.
func (c *Client) stageKeys(s Stage) []string {
	keys := []string{c.keys.stages(), c.keys.registry(RoleWorker)}
	for _, queue := range s.queues() {
		keys = append(keys, c.keys.meta(queue))
	}
	return keys
}

// Stages reads all stages in the order in which they were made. One of a
// version that this program does not know is left out, which is logged once.
func (c *Client) Stages(ctx context.Context) ([]Stage, error) {
	var records map[string]string
	err := c.try(ctx, "read stages", func(ctx context.Context) (err error) {
		records, err = c.rdb.HGetAll(ctx, c.keys.stages()).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	c.readings.only(records)
	return c.read(ctx, records), nil
}

// StagesOf is Stages for those with some ids, as far as they are there. It keeps none of
// them in memory: most callers remove them next.
func (c *Client) StagesOf(ctx context.Context, ids []string) ([]Stage, error) {
	records := make(map[string]string, len(ids))
	err := c.try(ctx, "read some stages", func(ctx context.Context) error {
		found, err := c.rdb.HMGet(ctx, c.keys.stages(), ids...).Result()
		for i := range found {
			if record, ok := found[i].(string); ok {
				records[ids[i]] = record
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.readings.forget(ids, records)
	return c.read(ctx, records), nil
}

func (c *Client) read(ctx context.Context, records map[string]string) []Stage {
	stages := c.readings.of(records, func(id string, s Stage, err error) {
		c.log.WarnContext(ctx, "a stage of another version is left alone", "stage", id, "version", s.V, "err", err)
	})
	slices.SortFunc(stages, func(a, b Stage) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	return stages
}

// readings are the records of the stages that the last call of Stages found, parsed: a
// fleet with many flows reads all of them now and then.
type readings struct {
	mu   sync.Mutex
	last map[string]reading
}

type reading struct {
	record string
	stage  Stage
	good   bool
}

// only forgets all others.
func (r *readings) only(records map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.last, func(id string, _ reading) bool { return records[id] == "" })
}

// forget forgets stages, but those that are there and cannot be read: one of another
// version is logged once.
func (r *readings) forget(ids []string, records map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if r.last[id].good || records[id] == "" {
			delete(r.last, id)
		}
	}
}

// of reads records; bad is told once of each that cannot be read.
func (r *readings) of(records map[string]string, bad func(id string, s Stage, err error)) []Stage {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[string]reading, len(records))
	}
	stages := make([]Stage, 0, len(records))
	for id, record := range records {
		got := r.last[id]
		if got.record != record {
			got = reading{record: record}
			err := json.Unmarshal([]byte(record), &got.stage)
			if got.good = err == nil && got.stage.V == 1; !got.good {
				bad(id, got.stage, err)
			}
			r.last[id] = got
		}
		if got.good {
			stages = append(stages, got.stage)
		}
	}
	return stages
}

// A Standing is what a worker has to know of a stage besides its record.
type Standing struct {
	Consumer bool // it is the consumer of its in-queues
	Bounded  bool // one of its queues has a bound of items, or a small one of bytes
}

// wide is a bound of bytes which single items do not reach.
const wide = 16 << 20

// Stand tells how stages stand. One whose queue was deleted is no consumer, even if
// another queue has the name now.
func (c *Client) Stand(ctx context.Context, stages []Stage) ([]Standing, error) {
	stands := make([]Standing, len(stages))
	if len(stages) == 0 {
		return stands, nil
	}
	metas := make(map[string]*redis.SliceCmd)
	err := c.try(ctx, "read the queues of stages", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			look := func(queue string) {
				metas[queue] = p.HMGet(ctx, c.keys.meta(queue), "inc", "consumer", "dying", "max", "maxb")
			}
			for _, s := range stages {
				for _, in := range s.Ins {
					look(in.Name)
				}
				for _, out := range s.Outs {
					look(out.Name)
				}
			}
			return nil
		})
		if redis.HasErrorPrefix(err, "WRONGTYPE") { // somebody's own key: that stage does not stand
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	bounded := func(m list) bool {
		bytes := m.number(4)
		return m.number(3) > 0 || bytes > 0 && bytes < wide
	}
	for i, s := range stages {
		stands[i].Consumer = true
		for _, in := range s.Ins {
			m := list(metas[in.Name].Val())
			stands[i].Consumer = stands[i].Consumer && m.text(0) == in.Inc && m.text(1) == "stage:"+s.ID && m.text(2) == ""
			stands[i].Bounded = stands[i].Bounded || bounded(m)
		}
		for _, out := range s.Outs {
			stands[i].Bounded = stands[i].Bounded || bounded(list(metas[out.Name].Val()))
		}
	}
	return stands, nil
}

// Bound lowers the size of the batches that are scattered into root queues: a
// batch is never larger than the smallest bound of its flow.
func (c *Client) Bound(ctx context.Context, roots []string, items int64) error {
	keys := make([]string, len(roots))
	for i, root := range roots {
		keys[i] = c.keys.meta(root)
	}
	_, err := c.run(ctx, "bound batches", scripts.bound, keys, items)
	return err
}
