package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// A Queue is one incarnation of a remote queue, as its meta hash describes it.
type Queue struct {
	Name string `json:"q"`
	Inc  string `json:"inc"`
	// V is the version of its format: VersionCounts if an offset may have another number of items than
	// one. 0 is version 1.
	V     int    `json:"v,omitempty"`
	Codec string `json:"-"`
	Type  string `json:"-"`
	Bounds
	Owner string   `json:"-"` // executor with which it is deleted; "": none
	Seal  bool     `json:"-"` // no source can join
	From  []string `json:"-"` // root queues of its items, each as a path, see Root
	Flow  string   `json:"-"`
	// Expires is the time out of use after which the watcher deletes the flow that begins in the queue. 0: never.
	Expires time.Duration `json:"-"`
	// Set by Look, ignored by Declare.
	Consumer string        `json:"-"`
	Items    int64         `json:"-"` // added so far
	Bytes    int64         `json:"-"`
	LeftOut  int64         `json:"-"` // offsets added so far, less Items: those without an item
	Fused    int64         `json:"-"` // items that skipped it, since one worker ran the stages before and behind it
	Dropped  int64         `json:"-"` // items dropped by overflow policies of sources
	Cost     time.Duration `json:"-"` // of an item at the most expensive stage that follows
	stages   []string      // ids of the stages that add to it
	before   string        // gather that the current one replaced
	birth    string        // of the partition, when this process got the queue; "": not known
}

// Bounds are how much may wait in a queue. The encoded form of a queue has Max only.
type Bounds struct {
	Max      int64 `json:"max,omitempty"` // items, 0 for no bound
	MaxBytes int64 `json:"-"`             // bytes of encoded items
}

func parseInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// VersionCounts is the version of a queue whose frames may have counts.
const VersionCounts = 2

// checkVersion returns ErrVersion if this program does not know the format of a queue.
func checkVersion(name, v string) error {
	if v != "1" && v != "2" {
		return fmt.Errorf("queue %q: %w: its format is %q, this program knows 1 and 2", name, ErrVersion, v)
	}
	return nil
}

// Counted reports whether an offset of the queue may have another number of items than one.
func (q Queue) Counted() bool { return q.V == VersionCounts }

func queueOf(name string, m map[string]string) Queue {
	q := Queue{
		Name: name, Inc: m["inc"], Codec: m["codec"], Type: m["type"], Bounds: Bounds{Max: parseInt(m["max"]), MaxBytes: parseInt(m["maxb"])},
		Owner: m["owner"], Seal: m["sealed"] == "1", Flow: m["flow"], Consumer: m["consumer"],
		Items: parseInt(m["items"]), Bytes: parseInt(m["bytes"]), Fused: parseInt(m["fused"]), Dropped: parseInt(m["dropped"]), Cost: time.Duration(parseInt(m["cost"])),
		Expires: time.Duration(parseInt(m["expires"])) * time.Millisecond,
		before:  m["before"],
	}
	if q.LeftOut = parseInt(m["leftout"]); m["v"] == "2" {
		q.V = VersionCounts
	}
	if json.Unmarshal([]byte(m["from"]), &q.From) != nil {
		q.From = nil
	}
	for field := range m {
		if stage, ok := strings.CutPrefix(field, "s:"); ok {
			q.stages = append(q.stages, stage)
		}
	}
	slices.Sort(q.stages)
	return q
}

// Declare creates a queue, or returns the queue of that name. made reports whether it was created.
// Declare does not compare an existing queue with q.
func (c *Client) Declare(ctx context.Context, q Queue) (found Queue, made bool, err error) {
	what, q := "declare queue "+q.Name, c.Planned(q)
	call, err := c.declaration(q)
	if err != nil {
		return Queue{}, false, err
	}
	reply, err := c.run(ctx, what, call.script, call.keys, call.args...)
	if err != nil {
		return Queue{}, false, err
	}
	meta := asList(reply).list(1).fields()
	found = c.born(queueOf(q.Name, meta))
	if asList(reply).text(0) == "dying" {
		return Queue{}, false, fmt.Errorf("%s: %w: it is being deleted", what, ErrQueueNotFound)
	}
	return found, found.Inc == q.Inc, checkVersion(q.Name, meta["v"]) // also true if the reply of the call that created it was lost
}

// Planned returns q with a new incarnation. No other process may know its name. Stage and Source
// create it, see OfPlanned.
func (c *Client) Planned(q Queue) Queue {
	q.Inc = uuid.NewString()
	return c.born(q)
}

// declaration returns the call that creates a queue with the incarnation that it has.
func (c *Client) declaration(q Queue) (call scriptCall, err error) {
	check := checkQueue
	if q.Owner == "" {
		check = func(name string) error { return CheckName("queue", name) }
	}
	if err := check(q.Name); err != nil {
		return call, err
	}
	if q.From == nil {
		q.From = []string{}
	}
	from, err := json.Marshal(q.From)
	if err != nil {
		return call, err
	}
	sealed := 0
	if q.Seal {
		sealed = 1
	}
	return scriptCall{
		scripts.declare,
		[]string{c.keys.meta(q.Name), c.keys.stream(q.Name), c.keys.returns(q.Name), c.keys.owned(q.Owner), c.keys.queues()},
		[]any{q.Name, q.Inc, q.Codec, q.Type, q.Max, q.MaxBytes, q.Owner, sealed, from, q.Flow, max(q.V, 1), q.Expires.Milliseconds()},
	}, nil
}

// Look reads a queue.
func (c *Client) Look(ctx context.Context, name string) (Queue, error) {
	if err := checkQueue(name); err != nil {
		return Queue{}, err
	}
	var m map[string]string
	err := c.try(ctx, "read queue "+name, func(ctx context.Context) (err error) {
		m, err = c.rdb.HGetAll(ctx, c.keys.meta(name)).Result()
		return err
	})
	if err != nil {
		return Queue{}, err
	}
	if m["inc"] == "" || m["dying"] != "" {
		return Queue{}, fmt.Errorf("queue %q: %w", name, ErrQueueNotFound)
	}
	return c.born(queueOf(name, m)), checkVersion(name, m["v"])
}

// Adopt sets the codec and the type of a queue of encoded items to those of its reader.
func (c *Client) Adopt(ctx context.Context, q Queue, codec, typ string) error {
	_, err := c.run(ctx, "type of queue "+q.Name, scripts.adopt, []string{c.keys.meta(q.Name)}, q.Inc, codec, typ)
	return err
}

// Queues lists the names of all queues, sorted.
func (c *Client) Queues(ctx context.Context) (names []string, err error) {
	return c.members(ctx, c.keys.queues())
}

// Owned lists the queues that are deleted with an executor, sorted.
func (c *Client) Owned(ctx context.Context, executor string) (names []string, err error) {
	return c.members(ctx, c.keys.owned(executor))
}

func (c *Client) members(ctx context.Context, key string) (names []string, err error) {
	err = c.try(ctx, "list queues", func(ctx context.Context) error {
		names, err = c.rdb.SMembers(ctx, key).Result()
		return err
	})
	slices.Sort(names)
	return names, err
}

// purgeChunk is the number of entries that one script call deletes.
const purgeChunk = 500

// Delete deletes a queue with its sources and stages. It first marks the queue, so that all further
// calls refuse it, and deletes in steps that another call can resume. It returns ErrQueueNotFound
// if there is no such queue.
func (c *Client) Delete(ctx context.Context, name string) error {
	stages, err := c.markDeleting(ctx, name, "", "")
	if err != nil {
		return err
	}
	return c.remove(ctx, []string{name}, stages)
}

// DeleteAll deletes queues, upstream first. Its error joins those of all queues. The queues of a whole flow
// with few entries take one round trip.
func (c *Client) DeleteAll(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if done, err := c.deleteFlow(ctx, names); err == nil && done {
		return nil
	}
	return c.deleteAll(ctx, "", names)
}

// The most queues, and entries and sources of them together, that one call deletes.
const (
	flowQueues  = 100
	flowEntries = 500
)

// deleteFlow deletes the queues of a flow at once, with the stages around them. done is false if that is
// too much for one call, or if a stage around them reads a queue that stays.
func (c *Client) deleteFlow(ctx context.Context, names []string) (done bool, err error) {
	if len(names) > flowQueues {
		return false, nil
	}
	k := c.keys
	keys := []string{k.stages(), k.registry(RoleWorker), k.queues(), k.due()}
	for _, name := range names {
		keys = append(keys, k.meta(name))
	}
	reply, err := c.run(ctx, "delete queues "+strings.Join(names, ", "), scripts.deleteFlow, keys, k.prefix, flowEntries)
	if err != nil || reply != int64(1) {
		return false, err
	}
	for _, name := range names {
		if err := c.unassign(ctx, name); err != nil {
			return false, err
		}
	}
	return true, nil
}

// DeleteOwned is DeleteAll for those queues that the executor still owns, or has begun to delete.
func (c *Client) DeleteOwned(ctx context.Context, executor string, names []string) error {
	return c.deleteAll(ctx, executor, names)
}

// DeleteFor is Delete on behalf of an executor: if that dies meanwhile, another process continues.
func (c *Client) DeleteFor(ctx context.Context, executor, name string) error {
	stages, err := c.markDeleting(ctx, name, "", executor)
	if err == nil {
		err = c.remove(ctx, []string{name}, stages)
	}
	if err != nil {
		return err
	}
	return c.try(ctx, "delete queue "+name, func(ctx context.Context) error {
		return c.rdb.SRem(ctx, c.keys.owned(executor), name).Err()
	})
}

func (c *Client) deleteAll(ctx context.Context, executor string, names []string) error {
	var failed error
	var marked, around []string
	for _, name := range names {
		switch stages, err := c.markDeleting(ctx, name, executor, ""); {
		case err == nil:
			marked, around = append(marked, name), append(around, stages...)
		case !errors.Is(err, ErrQueueNotFound):
			failed = errors.Join(failed, err)
		}
	}
	return errors.Join(failed, c.remove(ctx, marked, around))
}

// remove deletes marked queues and the stages around them.
func (c *Client) remove(ctx context.Context, marked, stages []string) error {
	if err := c.unstageAll(ctx, stages, marked); err != nil {
		return err
	}
	var failed error
	for _, name := range marked {
		failed = errors.Join(failed, c.purge(ctx, name))
	}
	return failed
}

// markDeleting makes all further calls refuse a queue. With an owner, it marks only a queue that is
// owned by it or marked already. by is recorded as the executor that deletes it. It returns the ids
// of the stages around the queue; no stage can be added to it any more.
func (c *Client) markDeleting(ctx context.Context, name, owner, by string) (stages []string, err error) {
	k := c.keys
	reply, err := c.run(ctx, "delete queue "+name, scripts.markDeleting, []string{k.meta(name), k.wait(name), k.watch(name), k.owned(by)}, name, k.prefix, owner, by)
	if err == nil && reply == "gone" {
		err = fmt.Errorf("queue %q: %w", name, ErrQueueNotFound)
	}
	for i := range asList(reply) {
		stages = append(stages, asList(reply).text(i))
	}
	return stages, err
}

// purge deletes the entries of a queue, and then the queue.
func (c *Client) purge(ctx context.Context, name string) error {
	k := c.keys
	// In this order, since a running script may still move an entry to a later stream of this list.
	for _, stream := range []string{k.delayed(name), k.stream(name), k.returns(name), k.suspects(name)} {
		for {
			n, err := c.run(ctx, "delete queue "+name, scripts.purge, []string{stream, k.due()}, purgeChunk, k.prefix+"f:", name)
			if err != nil {
				return err
			}
			if n == int64(0) {
				break
			}
		}
	}
	if err := c.dropKeys(ctx, name); err != nil {
		return err
	}
	return c.unassign(ctx, name)
}

// dropKeys deletes the keys of a queue without entries. The meta hash goes last, so that an
// interrupted deletion can be resumed.
func (c *Client) dropKeys(ctx context.Context, name string) error {
	k := c.keys
	for {
		n, err := c.run(ctx, "delete the sources of queue "+name, scripts.dropSources, []string{k.meta(name), k.sources(name)}, k.prefix, name, purgeChunk)
		if err != nil {
			return err
		}
		if n == int64(0) {
			break
		}
	}
	var meta map[string]string
	err := c.try(ctx, "delete queue "+name, func(ctx context.Context) (err error) {
		meta, err = c.rdb.HGetAll(ctx, k.meta(name)).Result()
		if err != nil {
			return err
		}
		_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			// Two commands: the ACL rules of a worker are for the streams or for the other keys.
			p.Unlink(ctx, k.stream(name), k.returns(name), k.suspects(name), k.delayed(name))
			p.Unlink(ctx, k.wait(name), k.held(name), k.calls(name), k.watch(name), k.sources(name), k.named(name), k.marks(name), k.nacked(name))
			if gather, ok := strings.CutPrefix(meta["consumer"], "gather:"); ok {
				for _, path := range queueOf(name, meta).From {
					root, _ := Root(path)
					p.SRem(ctx, k.watch(root), k.mailbox(gather))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.SRem(ctx, k.queues(), name)
			p.Del(ctx, k.meta(name))
			p.SRem(ctx, k.owned(meta["owner"]), name) // last, so that an interrupted deletion can be resumed
			return nil
		})
		return err
	})
	if err == nil && meta["expires"] != "" {
		_, err = c.expire(ctx, name) // forgets it, since it is gone
	}
	return err
}

// Seal prevents further sources from joining a queue.
func (c *Client) Seal(ctx context.Context, name string) error {
	reply, err := c.run(ctx, "seal queue "+name, scripts.seal, []string{c.keys.meta(name), c.keys.watch(name)}, name)
	if err == nil && reply == "gone" {
		return fmt.Errorf("queue %q: %w", name, ErrQueueNotFound)
	}
	return err
}
