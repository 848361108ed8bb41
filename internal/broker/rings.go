package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Class is the workers with the same functions and tags. A worker of a class waits for rings: it blocks
// on its mailbox alone, and HintReady names a queue that has unread entries.
type Class struct {
	ID         string
	definition string
}

// NewClass returns the class of workers with some functions and tags.
func NewClass(functions []FunctionCard, tags []string) Class {
	lines := make([]string, len(functions))
	for i, f := range functions {
		parts := []string{f.Name, f.InCodec, f.In, f.OutCodec, f.Out}
		if f.Filter {
			parts[0] = "filter " + f.Name
		} else if f.FlatMap {
			parts[0] = "flatmap " + f.Name
		}
		for k := range parts {
			parts[k] = escaped(parts[k])
		}
		lines[i] = strings.Join(parts, "\t")
	}
	slices.Sort(lines)
	definition := strings.Join(slices.Sorted(slices.Values(tags)), ",") + "\n" + strings.Join(lines, "\n")
	sum := sha256.Sum256([]byte(definition))
	return Class{hex.EncodeToString(sum[:8]), definition}
}

// escaped returns a text as it stands in a JSON record, which has no tab and no line break.
func escaped(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text has an encoded form
	return strings.Trim(strings.TrimSuffix(b.String(), "\n"), `"`)
}

// A ReadyQueue is a queue with unread entries, and the stage that reads it. Revision grows with each
// change of the stage's record.
type ReadyQueue struct{ Queue, Revision, Stage string }

// ParseReady parses the text of HintReady. ok is false for another text.
func ParseReady(text string) (q ReadyQueue, ok bool) {
	q.Queue, text, _ = strings.Cut(text, " ")
	q.Revision, q.Stage, ok = strings.Cut(text, " ")
	return q, ok
}

// JoinClass makes a worker one of a class. fresh reports whether it is the first one: entries may wait
// that no ring was for, see MarkAll. ErrFenced: the worker is not registered. ErrDenied: the Redis user
// lacks the rights for rings, and the worker waits at queues as before. It is safe to repeat.
func (c *Client) JoinClass(ctx context.Context, worker string, class Class) (fresh bool, err error) {
	reply, err := c.run(ctx, "join a class of workers", scripts.joinClass,
		[]string{c.keys.classes(), c.keys.registry(RoleWorker), c.keys.direct()}, worker, class.ID, class.definition, c.keys.prefix)
	if err == nil && reply == "gone" {
		err = ErrFenced
	}
	return reply == "new", err
}

// LeaveClass makes a worker wait at queues: it is told of all stages. It is safe to repeat.
func (c *Client) LeaveClass(ctx context.Context, worker string) error {
	_, err := c.JoinClass(ctx, worker, Class{})
	return err
}

// A ReadyReply is the result of Ready.
type ReadyReply struct {
	Queues  []ReadyQueue
	Idle    bool // the worker waits for HintReady
	Waited  bool // it waited for HintReady until this call, and does not now; false also if it was rung before
	Gone    bool // the worker is not in the class: it joins again
	Stages  int  // number of stages
	Workers int  // number of workers
	Pass    bool // the worker is to call MarkAll: no worker has lately
}

// A ReadyQuery is a question for ready queues.
type ReadyQuery struct {
	Worker  string
	Class   Class         // that the worker has joined
	Count   int           // most queues
	Wait    bool          // if there are none, the worker waits for HintReady
	Pace    time.Duration // between two calls of MarkAll; it is longer beside thousands of stages
	Skipped []string      // ready queues that the worker cannot read now
}

// Ready names queues that have unread entries for a worker, those that have them longest first. If there
// are none and the worker waits, HintReady names the next one, and no such hint is lost in between. A
// queue with a single entry is named to one worker, which takes it or calls Ring.
func (c *Client) Ready(ctx context.Context, q ReadyQuery) (r ReadyReply, err error) {
	args := []any{q.Worker, q.Class.ID, c.keys.prefix, q.Count, 0, q.Pace.Milliseconds()}
	if q.Wait {
		args[4] = 1
	}
	for _, queue := range q.Skipped {
		args = append(args, queue)
	}
	reply, err := c.run(ctx, "look for ready queues", scripts.ready,
		[]string{c.keys.classes(), c.keys.idle(q.Class.ID), c.keys.stages(), c.keys.registry(RoleWorker)}, args...)
	if err != nil {
		return r, err
	}
	l := asList(reply)
	r = ReadyReply{Idle: l.text(0) == "idle", Gone: l.text(0) == "gone", Stages: int(l.number(1)), Workers: int(l.number(2)), Pass: l.number(3) == 1, Waited: l.number(5) == 1}
	for i := range l.list(4) {
		if q, ok := ParseReady(l.list(4).text(i)); ok {
			r.Queues = append(r.Queues, q)
		}
	}
	return r, nil
}

// Ring wakes another worker for each of some queues, if they are ready and a worker waits. If none does,
// Ready names them again.
func (c *Client) Ring(ctx context.Context, queues []string) error {
	keys := make([]string, len(queues))
	for i, queue := range queues {
		keys[i] = c.keys.meta(queue)
	}
	_, err := c.run(ctx, "ring for other workers", scripts.ring, keys, c.keys.prefix)
	return err
}

// Width returns the numbers of stages and of workers of the partition.
func (c *Client) Width(ctx context.Context) (stages, workers int, err error) {
	var s, w *redis.IntCmd
	err = c.try(ctx, "count stages and workers", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			s, w = p.HLen(ctx, c.keys.stages()), p.ZCard(ctx, c.keys.registry(RoleWorker))
			return nil
		})
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return int(s.Val()), int(w.Val()), nil
}

// A StageQueue is a queue and the id of the stage that reads it.
type StageQueue struct{ Queue, Stage string }

// markPage is the number of queues of one call of mark_unread.lua.
const markPage = 100

// MarkUnread makes those of some queues ready that have unread entries, and rings for each. It returns
// the signatures of their stages.
func (c *Client) MarkUnread(ctx context.Context, queues []StageQueue) (signatures []string, err error) {
	for some := range slices.Chunk(queues, markPage) {
		args := []any{c.keys.prefix}
		for _, q := range some {
			args = append(args, q.Queue, q.Stage)
		}
		reply, err := c.run(ctx, "look for unread entries", scripts.markUnread, []string{c.keys.stages(), c.keys.classes()}, args...)
		if err != nil {
			return nil, err
		}
		for i := range asList(reply) {
			signatures = append(signatures, asList(reply).text(i))
		}
	}
	return signatures, nil
}

// MarkAll is MarkUnread for the queues of all stages, page by page: a ring may be lost. Then it forgets
// workers that are not registered and functions that no stage has.
func (c *Client) MarkAll(ctx context.Context) error {
	known, err := c.signatures(ctx)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	err = c.stagePages(ctx, func(stages []StageQueue) error {
		signatures, err := c.MarkUnread(ctx, stages)
		for _, signature := range signatures {
			used[signature] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	args := []any{c.keys.prefix}
	for _, signature := range known {
		if !used[signature] {
			args = append(args, signature)
		}
	}
	_, err = c.run(ctx, "forget workers and functions of rings", scripts.forgetRings,
		[]string{c.keys.classes(), c.keys.registry(RoleWorker), c.keys.direct()}, args...)
	return err
}

// signatures returns the signatures that some class was looked for.
func (c *Client) signatures(ctx context.Context) (known []string, err error) {
	var fields map[string]string
	err = c.try(ctx, "read the classes of workers", func(ctx context.Context) (err error) {
		fields, err = c.rdb.HGetAll(ctx, c.keys.classes()).Result()
		return err
	})
	for field := range fields {
		if signature, ok := strings.CutPrefix(field, "s:"); ok {
			known = append(known, signature)
		}
	}
	slices.Sort(known)
	return known, err
}
