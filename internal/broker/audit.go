package broker

import (
	"context"
	"slices"
	"strings"
)

// auditPage is the number of entries that one script call examines.
const auditPage = 500

// A Gap is the lowest missing offset of a source in a gather. Source is its name in the gathered
// queue.
type Gap struct {
	Source string
	Offset int64
}

// A Found is an entry that an audit has found.
type Found struct {
	Ref
	First, End int64
	Stray      bool // it was read, but no live consumer holds it
}

// An Audit is the result of Client.Audit.
type Audit struct {
	// Found has the entry that covers the gap of each source, if there is one.
	Found map[string]Found
	// Above has the entries of each source above its gap. It is complete for a source without an
	// entry in Found.
	Above map[string][]Found
}

// A Path is a queue before another queue, with the branches that its items take in between.
type Path struct{ Queue, Branch string }

// auditOrder is the order in which an audit reads the streams of a queue. Delayed entries come from
// the returned or suspect stream and go back there, so these two are read again at the end.
var auditOrder = []StreamKind{Fresh, Returned, Suspect, delayed, Returned, Suspect}

// Upstream returns the paths that lead to a gathered queue, each after those that feed it. Its cost
// is O(stages on the way).
func (c *Client) Upstream(ctx context.Context, g Gather) ([]Path, error) {
	var stages []Stage
	last, private := PrivateIn(g.Queue.Name)
	if !private {
		last = g.Queue.Name
	}
	seen, above := map[string]bool{}, []string{last}
	for len(above) > 0 {
		q, err := c.lookDying(ctx, above[0])
		if err != nil {
			return nil, err
		}
		above = above[1:]
		ids := slices.DeleteFunc(q.stages, func(id string) bool { return seen[id] })
		if len(ids) == 0 {
			continue
		}
		adding, err := c.StagesOf(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			seen[id] = true
		}
		for _, s := range adding {
			for _, in := range s.Ins {
				above = append(above, in.Name)
			}
		}
		stages = append(stages, adding...)
	}
	way := pathsTo(stages, g.Roots(), Path{Queue: last})
	if private { // the items do not come to the queue in whose place it is
		way = append(slices.DeleteFunc(way, func(p Path) bool { return p.Queue == last }), Path{Queue: g.Queue.Name})
	}
	return way, nil
}

// Audit looks for entries that cover the gaps of a gather. It reads the queues from the roots down,
// so it meets an entry that moves on during the audit further down.
func (c *Client) Audit(ctx context.Context, g Gather, way []Path, gaps []Gap) (Audit, error) {
	a := Audit{Found: map[string]Found{}, Above: map[string][]Found{}}
	for _, p := range way {
		for _, part := range auditOrder {
			if err := c.look(ctx, g, p.Branch, StreamRef{p.Queue, part}, gaps, &a); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// look pages through one stream until each gap is covered or the stream ends.
func (c *Client) look(ctx context.Context, g Gather, branch string, at StreamRef, gaps []Gap, a *Audit) error {
	for from := "-"; ; {
		args := []any{from, auditPage, g.consumerOf(at)}
		for _, gap := range gaps {
			if _, found := a.Found[gap.Source]; !found && strings.HasSuffix(gap.Source, branch) {
				args = append(args, strings.TrimSuffix(gap.Source, branch), gap.Offset)
			}
		}
		if len(args) == 3 {
			return nil
		}
		reply, err := c.run(ctx, "audit queue "+at.Queue, scripts.audit, []string{c.keys.streamOf(at), c.keys.registry(RoleWorker)}, args...)
		if err != nil {
			return err
		}
		l := asList(reply)
		for i := 1; i+4 < len(l); i += 5 {
			source, first, state := l.text(i)+branch, l.number(i+1), l.text(i+4)
			s := Found{Ref{at.Queue, at.Kind, l.text(i + 3)}, first, first + l.number(i+2), state == "stray"}
			if state != "" {
				a.Found[source] = s
			} else {
				a.Above[source] = append(a.Above[source], s)
			}
		}
		if l.text(0) == "" {
			return nil
		}
		from = "(" + l.text(0)
	}
}

// consumerOf returns the consumer of a stream: the gather for its own queue, "" for a queue that
// workers read.
func (g Gather) consumerOf(at StreamRef) string {
	if at.Queue == g.Queue.Name {
		return g.ID
	}
	return ""
}

// pathsTo returns the paths that lead to a queue, each after those that feed it.
func pathsTo(stages []Stage, roots []Path, to Path) (way []Path) {
	seen := map[Path]bool{}
	var walk func(p Path)
	walk = func(p Path) {
		if seen[p] {
			return
		}
		seen[p] = true
		for _, s := range stages {
			i := slices.IndexFunc(s.Outs, func(o Out) bool { return o.Name == p.Queue })
			if i < 0 {
				continue
			}
			for _, in := range s.Ins {
				walk(Path{in.Name, s.Outs[i].Branch + p.Branch})
			}
		}
		way = append(way, p)
	}
	for _, root := range roots { // also if a stage in between cannot be read
		walk(root)
	}
	walk(to)
	return way
}

// RequeueStray requeues a stray entry of an audit: for workers into the returned stream, for the
// gather among its pending entries. It also requeues stray entries after it in the same stream.
func (c *Client) RequeueStray(ctx context.Context, g Gather, s Found) (entries int64, err error) {
	back := c.keys.returns(s.Queue)
	if s.Kind == Suspect {
		back = c.keys.suspects(s.Queue)
	}
	for from := s.ID; ; {
		reply, err := c.run(ctx, "requeue the stray entries of queue "+s.Queue, scripts.requeueStray,
			[]string{c.keys.streamOf(s.Stream()), back, c.keys.registry(RoleWorker)}, from, auditPage, g.consumerOf(s.Stream()))
		if err != nil {
			return entries, err
		}
		l := asList(reply)
		entries += l.number(0)
		if l.text(1) == "" {
			return entries, nil
		}
		from = "(" + l.text(1)
	}
}
