package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// paths returns the ways on which items reach a queue: its root queues, each with the branches that
// the items took. A root queue has one path, itself.
func (q Queue) paths() []Path {
	if len(q.From) == 0 {
		return []Path{{Queue: q.Name}}
	}
	paths := make([]Path, len(q.From))
	for i, path := range q.From {
		paths[i].Queue, paths[i].Branch = Root(path)
	}
	return paths
}

// Unstage removes a stage, if it exists. Its in-queues have no consumer afterwards.
func (c *Client) Unstage(ctx context.Context, id string) error {
	stages, err := c.StagesOf(ctx, []string{id})
	for err == nil && len(stages) > 0 {
		var done bool
		if done, err = c.unstage(ctx, removal{stage: stages[0], gone: stages[0].Outs}); done {
			return nil
		}
		if err == nil {
			stages, err = c.StagesOf(ctx, []string{id})
		}
	}
	return err
}

// unstageAll removes the stages around dying queues, if they exist. A copy stage keeps those of its
// out-queues that stay.
func (c *Client) unstageAll(ctx context.Context, ids, dying []string) error {
	slices.Sort(ids)
	for ids = slices.Compact(ids); len(ids) > 0; {
		stages, err := c.StagesOf(ctx, ids)
		if err != nil {
			return err
		}
		ids = nil
		for _, s := range stages {
			done, err := c.unstage(ctx, removalFor(s, dying))
			if err != nil {
				return err
			}
			if !done {
				ids = append(ids, s.ID)
			}
		}
	}
	return nil
}

// A removal removes a stage, or some of its out-queues.
type removal struct {
	stage Stage
	gone  []Out // out-queues to remove
	left  []Out // out-queues that stay with the stage; none: the stage is removed
}

// removalFor returns the parts of a stage that have to be removed with dying queues.
func removalFor(s Stage, dying []string) removal {
	isDying := func(name string) bool { return slices.Contains(dying, name) }
	if s.Kind != KindCopy || slices.ContainsFunc(s.Ins, func(q Queue) bool { return isDying(q.Name) }) {
		return removal{stage: s, gone: s.Outs}
	}
	r := removal{stage: s}
	for _, out := range s.Outs {
		if isDying(out.Name) {
			r.gone = append(r.gone, out)
		} else {
			r.left = append(r.left, out)
		}
	}
	return r
}

// record returns the record of the stage with its remaining out-queues, or nil if it is removed.
func (r removal) record() ([]byte, error) {
	if len(r.left) == 0 {
		return nil, nil
	}
	left := r.stage
	left.Outs = r.left
	return json.Marshal(left)
}

// unstage carries out a removal. done is false if the stage has changed since it was read.
func (c *Client) unstage(ctx context.Context, r removal) (done bool, err error) {
	s := r.stage
	left, err := r.record()
	if err != nil {
		return false, err
	}
	around := stageQueues{c: c, ins: s.Ins, outs: r.gone}
	var stay []Queue
	for _, in := range s.Ins {
		q, err := c.Look(ctx, in.Name)
		if err != nil && !IsGone(err) {
			return false, err
		}
		if err == nil && q.Inc == in.Inc { // otherwise the in-queue is being deleted too
			stay = append(stay, q)
		}
	}
	if err := around.addPaths(ctx, stay, r.gone); err != nil {
		return false, err
	}
	reply, err := c.run(ctx, "remove stage "+s.ID, scripts.unstage, around.keys(),
		append([]any{s.ID, s.Record, left, c.keys.prefix, len(s.Ins), len(r.gone)}, around.args()...)...)
	if err != nil || reply == int64(0) {
		return false, err
	}
	return true, around.sweep(ctx)
}

// stageQueues are the queues that stage.lua and unstage.lua read or change.
type stageQueues struct {
	c       *Client
	ins     []Queue
	outs    []Out
	roots   []string // root queue of each path to an in-queue
	details []any    // number of the in-queue, branch and leaves of each path
}

// addPaths records the addPaths to in-queues and the leaves that out-queues take with them.
func (a *stageQueues) addPaths(ctx context.Context, ins []Queue, gone []Out) error {
	for _, in := range ins {
		number := 1 + slices.IndexFunc(a.ins, func(q Queue) bool { return q.Name == in.Name })
		for _, path := range in.paths() {
			leaves, err := a.c.leavesBehind(ctx, gone, path.Branch)
			if err != nil {
				return err
			}
			a.roots = append(a.roots, path.Queue)
			a.details = append(a.details, number, path.Branch, strings.Join(leaves, " "))
		}
	}
	return nil
}

func (a *stageQueues) keys() []string {
	k := a.c.keys
	keys := []string{k.stages(), k.registry(RoleWorker)}
	for _, in := range a.ins {
		keys = append(keys, k.meta(in.Name))
	}
	for _, out := range a.outs {
		keys = append(keys, k.meta(out.Name))
	}
	for _, root := range a.roots {
		keys = append(keys, k.meta(root))
	}
	return keys
}

func (a *stageQueues) args() (args []any) {
	for _, in := range a.ins {
		args = append(args, in.Name)
	}
	for _, out := range a.outs {
		args = append(args, out.Name+out.Branch)
	}
	return append(args, a.details...)
}

// sweep removes the marks that sources of the root queues keep for leaves that are gone.
func (a *stageQueues) sweep(ctx context.Context) error {
	for _, root := range a.roots {
		if err := a.c.sweep(ctx, root); err != nil {
			return err
		}
	}
	return nil
}

// leavesBehind returns the leaves that items reach through out-queues of a stage, on a path from a
// root queue.
func (c *Client) leavesBehind(ctx context.Context, outs []Out, branch string) (leaves []string, err error) {
	for _, out := range outs {
		q, err := c.lookDying(ctx, out.Name)
		if err != nil {
			return nil, err
		}
		id, read := strings.CutPrefix(q.Consumer, "stage:")
		if !read {
			leaves = append(leaves, out.Name+branch+out.Branch)
			continue
		}
		stages, err := c.StagesOf(ctx, []string{id})
		if err != nil {
			return nil, err
		}
		for _, s := range stages {
			behind, err := c.leavesBehind(ctx, s.Outs, branch+out.Branch)
			if err != nil {
				return nil, err
			}
			leaves = append(leaves, behind...)
		}
	}
	return leaves, nil
}

// lookDying reads a queue, even one that is being deleted. A queue that is gone has no consumer.
func (c *Client) lookDying(ctx context.Context, name string) (q Queue, err error) {
	err = c.try(ctx, "read queue "+name, func(ctx context.Context) error {
		m, err := c.rdb.HGetAll(ctx, c.keys.meta(name)).Result()
		q = queueOf(name, m)
		return err
	})
	return q, err
}

// sweepPage is the number of sources that one script call examines.
const sweepPage = 500

// sweep removes the marks that sources of a root queue keep for leaves that are gone. Its cost is
// O(sources of the queue).
func (c *Client) sweep(ctx context.Context, root string) error {
	for after := "0"; after != ""; {
		reply, err := c.run(ctx, "forget the leaves of queue "+root, scripts.sweep,
			[]string{c.keys.meta(root), c.keys.sources(root)}, c.keys.prefix, root, after, sweepPage)
		if err != nil {
			return err
		}
		after = fmt.Sprint(reply)
	}
	return nil
}
