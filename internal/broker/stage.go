package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The kinds of stages.
const (
	KindMap     = "map"     // a function, one output for an input
	KindFilter  = "filter"  // a predicate: its inputs, without some of them
	KindFlatMap = "flatmap" // a function, any number of outputs for an input
	KindCopy    = "copy"    // no function: every out-queue gets the items
	KindFuture  = "future"  // a function whose results are keys
)

// A Stage is work for the workers: it takes entries from Ins and adds results to Outs.
type Stage struct {
	Paused   bool           `json:"paused,omitempty"` // no worker runs it, see PauseFlows and PauseStage
	Pause    *OperatorPause `json:"pause,omitempty"`  // by an operator; nil: none. Set only with Paused
	V        int            `json:"v"`
	ID       string         `json:"id"`
	Seq      int64          `json:"seq"` // creation order
	Kind     string         `json:"kind"`
	Function string         `json:"fn,omitempty"`
	Ins      []Queue        `json:"ins"`
	Outs     []Out          `json:"outs"`
	InCodec  string         `json:"incodec,omitempty"`
	InType   string         `json:"intype,omitempty"`
	OutCodec string         `json:"outcodec,omitempty"`
	OutType  string         `json:"outtype,omitempty"`
	Timeout  time.Duration  `json:"timeout,omitempty"` // of an item, ns
	Retries  int            `json:"retries,omitempty"`
	// Backoff is the pause before the second attempt, in ns; it doubles up to MaxBackoff.
	Backoff    time.Duration `json:"backoff,omitempty"`
	MaxBackoff time.Duration `json:"backoffmax,omitempty"`
	Tags       []string      `json:"tags,omitempty"`   // that a worker needs to run it, sorted; V is at least 2 then
	NoFuse     bool          `json:"nofuse,omitempty"` // never fused with the stage before or behind it
	Limits     *Limits       `json:"limits,omitempty"` // of all workers together; nil: none. V is 4 then
	TTL        time.Duration `json:"ttl,omitempty"`    // of a future's result, ns
	Reply      string        `json:"reply,omitempty"`  // executor whose mailbox gets HintDone
	Record     string        `json:"-"`                // the JSON text as it was read
}

// An Out is a queue that a stage adds to. Branch is the suffix of the names of its sources there;
// "" means that they keep their names.
type Out struct {
	Queue
	Branch string `json:"branch,omitempty"`
}

// queues returns the names of the in-queues, then those of the out-queues.
func (s Stage) queues() []string {
	all := names(s.Ins)
	for _, out := range s.Outs {
		all = append(all, out.Name)
	}
	return all
}

// queue returns the queue that queues names at an index.
func (s Stage) queue(at int) Queue {
	if at < len(s.Ins) {
		return s.Ins[at]
	}
	return s.Outs[at-len(s.Ins)].Queue
}

// Inputs returns the names of the in-queues.
func (s Stage) Inputs() []string { return names(s.Ins) }

func names(queues []Queue) (names []string) {
	for _, q := range queues {
		names = append(names, q.Name)
	}
	return names
}

// Stage makes a stage the consumer of its in-queues and sends HintStages to the workers. It updates
// a stage with the same id, function and queues; if the record is unchanged, it sends no hint. If
// another stage conflicts with it, the error is a StageConflict. planned are out-queues that Stage
// creates in the same round trip, see Queue.Planned. They exist also after an error.
func (c *Client) Stage(ctx context.Context, s Stage, planned ...Queue) error {
	s.V, s.Seq = s.version(), time.Now().UnixNano()
	err := c.stage(ctx, s, Stage{}, planned)
	var conflict *StageConflict
	if errors.As(err, &conflict) && (conflict.Old.updatedBy(s) || conflict.Old.Removed() && conflict.sameInputs()) {
		return c.Replace(ctx, s, conflict.Old)
	}
	return err
}

// Replace is Stage for a stage that takes the place of an old one, also in the order of stages. The
// consumer of the in-queue changes in one step, and the backlog stays. The pause of an operator too,
// unless the old stage was removed.
func (c *Client) Replace(ctx context.Context, s, old Stage) error {
	s.V, s.Seq = s.version(), old.Seq
	if old.Pause != nil && !old.Removed() {
		s.Paused, s.Pause = true, old.Pause
	}
	return c.stage(ctx, s, old, nil)
}

// stage writes the record of a stage and removes old, which may have another id. The zero Stage
// stands for no old stage. It creates the planned queues first.
func (c *Client) stage(ctx context.Context, s, old Stage, planned []Queue) error {
	var goes []Out // out-queues only of the stage that is replaced
	expected, away := old.Record, ""
	if old.ID != s.ID {
		expected, away = "", old.ID
		goes = slices.DeleteFunc(slices.Clone(old.Outs), func(o Out) bool { return slices.Contains(s.queues(), o.Name) })
	}
	record, err := json.Marshal(s)
	if err != nil {
		return err
	}
	around := stageQueues{c: c, ins: s.Ins, outs: slices.Concat(s.Outs, goes)}
	if err := around.addPaths(ctx, s.Ins, goes); err != nil {
		return err
	}
	var calls []scriptCall
	for _, q := range planned {
		declaration, err := c.declaration(q)
		if err != nil {
			return err
		}
		calls = append(calls, declaration)
	}
	replies, err := c.runInOrder(ctx, "make stage "+s.ID, append(calls, scriptCall{
		scripts.stage, around.keys(),
		append([]any{s.ID, record, c.keys.prefix, len(s.Ins), len(s.Outs), len(goes), expected, away}, around.args()...),
	})...)
	if err != nil {
		return err
	}
	l := asList(replies[len(planned)])
	switch at := int(l.number(1)); l.text(0) {
	case "gone":
		return c.Lost(ctx, s.queue(at), fmt.Errorf("queue %q: %w", s.queues()[at], ErrQueueNotFound))
	case "taken":
		return consumerExists(s.Ins[at].Name, l.text(2))
	case "exists":
		conflict := &StageConflict{New: s}
		if err := conflict.Old.parse(l.text(2)); err != nil {
			return consumerExists(s.Ins[at].Name, "a stage of another version")
		}
		return conflict
	}
	if l.number(1) == 1 {
		err = c.requeueForeign(ctx, s.Ins)
	}
	if len(goes) > 0 && err == nil {
		err = around.sweep(ctx)
	}
	return err
}

func consumerExists(queue, consumer string) error {
	return fmt.Errorf("queue %q: %w, %s: use executor.Multiplex to make equal queues of it, one for each consumer",
		queue, ErrConsumerExists, consumer)
}

// A StageConflict is the error for a stage that cannot be made, since an old stage reads its
// in-queue or adds to its out-queue. It matches ErrStageExists and ErrConsumerExists.
type StageConflict struct{ Old, New Stage }

// Error names both stages and their functions.
func (e *StageConflict) Error() string {
	return fmt.Sprintf("stage %q, which %s: %v: stage %q, which %s: replace it with executor.ReplaceStage, "+
		"or use executor.Multiplex to make equal queues, one for each stage",
		e.New.ID, e.New.describe(), ErrStageExists, e.Old.ID, e.Old.describe())
}

// Is makes it match ErrStageExists and ErrConsumerExists.
func (*StageConflict) Is(target error) bool {
	return target == ErrStageExists || target == ErrConsumerExists
}

// Replaceable reports whether both stages run a function over the same in-queue.
func (e *StageConflict) Replaceable() bool {
	return e.Old.Maps() && e.New.Maps() && e.sameInputs()
}

func (e *StageConflict) sameInputs() bool { return slices.Equal(names(e.Old.Ins), names(e.New.Ins)) }

// describe describes a stage for an error text.
func (s Stage) describe() string {
	from, to := strings.Join(names(s.Ins), " and "), len(s.Outs)
	if s.Kind == KindCopy {
		return fmt.Sprintf("copies queue %s to %d", from, to)
	}
	return fmt.Sprintf("runs function %q over queue %s", s.Function, from)
}

// updatedBy reports whether next is the same stage with other options: the same function, the same
// in-queues and no out-queue less.
func (s Stage) updatedBy(next Stage) bool {
	if s.ID != next.ID || s.Kind != next.Kind || s.Function != next.Function || !slices.Equal(names(s.Ins), names(next.Ins)) {
		return false
	}
	return !slices.ContainsFunc(s.queues(), func(queue string) bool { return !slices.Contains(next.queues(), queue) })
}

// Maps reports whether a function makes the items of its out-queue from those of its in-queue.
func (s *Stage) Maps() bool {
	return s.Kind == KindMap || s.Kind == KindFilter || s.Kind == KindFlatMap
}

// version returns the version of the record. A program that knows no tags leaves alone a stage that
// has some, one that knows no counts a stage whose queues have counts, and one that knows no limits a
// stage with limits.
func (s *Stage) version() int {
	counted := func(out Out) bool { return out.Counted() }
	switch {
	case s.Limits != nil:
		return 4
	case slices.ContainsFunc(s.Ins, Queue.Counted), slices.ContainsFunc(s.Outs, counted):
		return 3
	case len(s.Tags) > 0:
		return 2
	}
	return 1
}

// Admits reports whether a worker with these tags may run the stage: it has all tags of the stage.
func (s *Stage) Admits(tags []string) bool {
	return !slices.ContainsFunc(s.Tags, func(tag string) bool { return !slices.Contains(tags, tag) })
}

// parse decodes a record.
func (s *Stage) parse(record string) error {
	s.Record = record
	err := json.Unmarshal([]byte(record), s)
	if err == nil && s.V != s.version() {
		err = fmt.Errorf("version %d", s.V)
	}
	return err
}

// StageOf returns the stage that reads a queue. found reports whether there is one.
func (c *Client) StageOf(ctx context.Context, queue string) (s Stage, found bool, err error) {
	var consumer string
	err = c.try(ctx, "read the consumer of queue "+queue, func(ctx context.Context) (err error) {
		consumer, err = c.rdb.HGet(ctx, c.keys.meta(queue), "consumer").Result()
		return err
	})
	id, ok := strings.CutPrefix(consumer, "stage:")
	if errors.Is(err, redis.Nil) || err == nil && !ok {
		return Stage{}, false, nil
	}
	if err != nil {
		return Stage{}, false, err
	}
	stages, err := c.StagesOf(ctx, []string{id})
	if err != nil || len(stages) == 0 {
		return Stage{}, false, err
	}
	return stages[0], true, nil
}

// Stages returns all stages in creation order. It skips a stage whose version this program does not
// know and logs that once.
func (c *Client) Stages(ctx context.Context) ([]Stage, error) {
	var records map[string]string
	err := c.try(ctx, "read stages", func(ctx context.Context) (err error) {
		records, err = c.rdb.HGetAll(ctx, c.keys.stages()).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	c.readings.retain(records)
	return c.read(ctx, records), nil
}

// StagesOf returns the existing stages with the given ids. It does not cache them, since most
// callers remove them next.
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
	stages := c.readings.parse(records, func(id string, s Stage, err error) {
		c.log.WarnContext(ctx, "stage ignored: it has another version", "stage", id, "version", s.V, "err", err)
	})
	slices.SortFunc(stages, func(a, b Stage) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	return stages
}

// A StageStatus is the state of a stage that is not in its record.
type StageStatus struct {
	Consumer bool     // it is the consumer of its in-queues
	Bounded  bool     // one of its queues is bounded in items, or has a low bound in bytes
	Readers  []string // ids of the stages that read its out-queues
}

// largeBound is a bound in bytes that no single item is expected to reach.
const largeBound = 16 << 20

// StageStatuses returns the state of stages. A stage whose in-queue was deleted is not its
// consumer, even if a new queue has the same name.
func (c *Client) StageStatuses(ctx context.Context, stages []Stage) ([]StageStatus, error) {
	stands := make([]StageStatus, len(stages))
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
		if hasCode(err, "WRONGTYPE") { // a foreign key: its stage is not the consumer
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	bounded := func(m list) bool {
		bytes := m.number(4)
		return m.number(3) > 0 || bytes > 0 && bytes < largeBound
	}
	for i, s := range stages {
		stands[i].Consumer = true
		for _, in := range s.Ins {
			m := list(metas[in.Name].Val())
			stands[i].Consumer = stands[i].Consumer && m.text(0) == in.Inc && m.text(1) == "stage:"+s.ID && m.text(2) == ""
			stands[i].Bounded = stands[i].Bounded || bounded(m)
		}
		for _, out := range s.Outs {
			m := list(metas[out.Name].Val())
			stands[i].Bounded = stands[i].Bounded || bounded(m)
			if reader, ok := strings.CutPrefix(m.text(1), "stage:"); ok {
				stands[i].Readers = append(stands[i].Readers, reader)
			}
		}
	}
	return stands, nil
}

// LimitBatches lowers the batch limit of root queues to items: a batch is never larger than the
// smallest bound of its flow.
func (c *Client) LimitBatches(ctx context.Context, roots []string, items int64) error {
	keys := make([]string, len(roots))
	for i, root := range roots {
		keys[i] = c.keys.meta(root)
	}
	_, err := c.run(ctx, "limit batches", scripts.limitBatches, keys, items)
	return err
}
