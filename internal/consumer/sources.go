package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// refreshed sources of which no change was noted are read by each look, in turn: a source notes no change for items
// that it stores.
const refreshed = 64

// A root is a root queue of a gather, and the path from it.
type root struct {
	broker.Path
	sealed bool
	last   string // number of the last change of its sources that was read
}

// A source is a gather's view of a source.
type source struct {
	name   string // in the gathered queue
	root   *root
	stored int64  // offset up to which its items are stored, when it was last read
	end    int64  // -1 until it has ended
	cut    string // why it was given up before its end
	told   string // the last notice about it
	gaps   int64  // offset up to which the ranges that it has dropped are known
	done   bool   // it was handed out to its end
	place  int    // in the list of all
	pass   int    // the last look at all sources that found it
}

// sources are those that a gather has not delivered to their ends.
type sources struct {
	roots      []*root
	known      map[string]*source
	list       []*source
	turn       int  // of the list, the one that is refreshed next
	unfinished int  // those that are not done
	pass       int  // looks at all sources so far
	all        bool // the next look is one at all sources
	// replaced is the stage that has replaced the one before the queue, "" if none has: no items come any more.
	replaced string
}

func newSources(paths []broker.Path) *sources {
	s := &sources{known: map[string]*source{}, all: true}
	for _, p := range paths {
		s.roots = append(s.roots, &root{Path: p, last: "0"})
	}
	return s
}

// at returns a source, which is added if it is not known.
func (ss *sources) at(name string, of *root) *source {
	s := ss.known[name]
	if s == nil {
		s = &source{name: name, root: of, end: -1, place: len(ss.list)}
		ss.known[name], ss.list = s, append(ss.list, s)
		ss.unfinished++
	}
	s.pass = ss.pass
	return s
}

// forget removes a source.
func (ss *sources) forget(s *source) {
	last := ss.list[len(ss.list)-1]
	ss.list[s.place], last.place = last, s.place
	ss.list = ss.list[:len(ss.list)-1]
	delete(ss.known, s.name)
	if !s.done {
		ss.unfinished--
	}
}

// setDone notes whether a source was handed out to its end. After a failover, one that was may have lost its end.
func (ss *sources) setDone(s *source, done bool) {
	switch {
	case done && !s.done:
		ss.unfinished--
	case !done && s.done:
		ss.unfinished++
	}
	s.done = done
}

// ended reports whether no source can join any more, and all were handed out to their ends.
func (ss *sources) ended() bool {
	open := slices.ContainsFunc(ss.roots, func(r *root) bool { return !r.sealed })
	return !open && !ss.all && ss.unfinished == 0
}

// stale are the names, at a root, of the sources that are refreshed next.
func (ss *sources) stale(of *root) (names []string) {
	for range min(refreshed, len(ss.list)) {
		ss.turn = (ss.turn + 1) % len(ss.list)
		if s := ss.list[ss.turn]; s.root == of && !s.done {
			name, _ := broker.Root(s.name)
			names = append(names, name)
		}
	}
	return names
}

// cut tells which sources were given up, as far as no notice has told it.
func (ss *sources) cut() (err error) {
	cuts := slices.DeleteFunc(slices.Clone(ss.list), func(s *source) bool { return s.cut == "" || s.told == s.cause().Error() })
	slices.SortFunc(cuts, func(a, b *source) int { return cmp.Compare(a.name, b.name) })
	for _, s := range cuts {
		err = errors.Join(err, s.cause())
	}
	return err
}

// cause is why a source was given up before its end.
func (s *source) cause() error {
	return fmt.Errorf("queue %s: %w, after %d items of source %s: %s", s.root.Queue, broker.ErrTruncated, s.end, s.name, s.cut)
}

// lookAtSources reads the sources that have changed since the last look, and some others.
func (r *Receiver) lookAtSources(ctx context.Context) error {
	all := r.sources.all
	if all {
		r.sources.pass++
	}
	for _, root := range r.sources.roots {
		if all {
			root.last = "0"
		}
		if err := r.readSources(ctx, root, r.sources.stale(root)); err != nil {
			return err
		}
	}
	r.look, r.looked, r.every, r.sources.all = false, time.Now(), min(2*r.every, r.c.Patience(idlePace)), false
	if all {
		for _, s := range slices.Clone(r.sources.list) {
			if s.pass != r.sources.pass {
				r.gone(s.name)
			}
		}
	}
	return nil
}

// readSources reads the sources of a root queue that have changed, and those of some names.
func (r *Receiver) readSources(ctx context.Context, of *root, names []string) error {
	for more := true; more; names = nil {
		page, err := r.c.Watch(ctx, r.g, of.Path, of.last, names...)
		if err != nil {
			return err
		}
		of.sealed, of.last, more = page.Sealed, page.Last, page.More
		r.sources.replaced = page.Replaced
		for _, p := range page.Sources {
			names = slices.DeleteFunc(names, func(name string) bool { return name == p.Name })
			if err := r.learn(ctx, of, p); err != nil {
				return err
			}
		}
		for _, name := range names {
			r.gone(name + of.Branch)
		}
	}
	for _, name := range r.acks.takeRetired() { // also those that a page read before they were
		r.forget(name)
	}
	return nil
}

// readNamed reads sources by their names in the gathered queue.
func (r *Receiver) readNamed(ctx context.Context, names []string) error {
	for _, root := range r.sources.roots {
		var here []string
		for _, name := range names {
			if at, branch := broker.Root(name); branch == root.Branch {
				here = append(here, at)
			}
		}
		if len(here) > 0 {
			if err := r.readSources(ctx, root, here); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone removes a source that Redis does not have: it is delivered to its end, or was lost with the last writes, or its
// key was deleted. What has come of it is handed out.
func (r *Receiver) gone(name string) {
	if !r.order.holds(name) {
		r.forget(name)
	}
}

// forget removes a source.
func (r *Receiver) forget(name string) {
	if s := r.sources.known[name]; s != nil {
		r.sources.forget(s)
	}
	r.order.forget(name)
	r.acks.forget(name)
}

// learn takes note of how far a source is.
func (r *Receiver) learn(ctx context.Context, of *root, p broker.Progress) error {
	s := r.sources.at(p.Name+of.Branch, of)
	s.stored, s.end, s.cut = p.Stored, p.End, p.Cut
	r.acks.feeds(s.name, of.Queue)
	if p.Dropped {
		if err := r.skip(ctx, s); err != nil {
			return err
		}
	}
	if p.End >= 0 {
		return r.reach(ctx, s)
	}
	r.sources.setDone(s, false)
	if p.Away == "" {
		s.told = ""
		return nil
	}
	return r.tell(ctx, s, batch.CodeAway, fmt.Sprintf("queue %s: source %s is away after %d items: %s; whoever scatters under its name goes on",
		of.Queue, s.name, p.Stored, p.Away))
}

// reach looks whether a source was handed out to its end. It is forgotten then, unless the stream ends with an error
// about it.
func (r *Receiver) reach(ctx context.Context, s *source) error {
	if s.end < 0 || s.done || r.order.reached(s.name) < s.end {
		return nil
	}
	r.sources.setDone(s, true)
	if s.cut != "" && s.root.sealed {
		return nil
	}
	if s.cut != "" {
		if err := r.tell(ctx, s, batch.CodeCut, s.cause().Error()); err != nil {
			return err
		}
	}
	r.acks.retire(s.name, s.end)
	return nil
}

// tell hands out a notice about a source, unless it was the last one.
func (r *Receiver) tell(ctx context.Context, s *source, code, message string) error {
	if s.told == message {
		return nil
	}
	s.told = message
	return r.out(ctx, notice(s.name, code, message))
}

// skip hands out a failure in the place of each item that a source has dropped and that is not known yet: no entry will
// come for it.
func (r *Receiver) skip(ctx context.Context, s *source) error {
	why := batch.Failure{
		Code: batch.CodeDropped, Message: "there was no room for it in queue " + s.root.Queue, Stage: s.root.Queue,
	}
	name, _ := broker.Root(s.name)
	for more := true; more; {
		text, others, err := r.c.Dropped(ctx, name, s.gaps)
		if err != nil {
			return err
		}
		dropped, err := ranges.ParseSpans(text)
		if err != nil {
			return fmt.Errorf("gather queue %s: what source %s has dropped: %w", r.g.Queue.Name, s.name, err)
		}
		r.order.drop(s.name, dropped, why)
		if n := len(dropped); n > 0 {
			s.gaps = dropped[n-1].From
		}
		more = others
	}
	return r.flush(ctx)
}
