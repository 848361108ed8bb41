package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// ended looks at the sources of all roots: the stream has ended when none can
// join any more and each was handed out to its end.
func (r *Receiver) ended(ctx context.Context) (bool, error) {
	r.look, r.looked, r.every = false, time.Now(), min(2*r.every, idlePace)
	r.ends, r.stored, r.open, r.cut = map[string]int64{}, map[string]int64{}, 0, nil
	all := true
	listed := map[string]bool{}
	for _, root := range r.roots {
		sources, sealed, err := r.c.Watch(ctx, r.g, root.Queue)
		if err != nil {
			return false, err
		}
		all = all && sealed
		for name, p := range sources {
			local := name + root.Branch
			listed[local] = true
			r.stored[local] = p.Stored
			r.acks.feeds(local, root.Queue)
			if err := r.skip(ctx, root, local, p.Gaps); err != nil {
				return false, err
			}
			ended, err := r.source(ctx, root, local, p, sealed)
			if err != nil {
				return false, err
			}
			all = all && ended
		}
	}
	r.order.keep(listed)
	return all, nil
}

// source looks at one source: whether it has ended and was handed out.
func (r *Receiver) source(ctx context.Context, root broker.Path, local string, p broker.Progress, sealed bool) (ended bool, err error) {
	if p.End < 0 {
		r.open++
		return false, r.away(ctx, root, local, p)
	}
	r.ends[local] = p.End
	stays := sealed || root.Branch != "" // until its queue is deleted
	cut := cause(root, local, p)
	ended = r.order.reached(local) >= p.End
	if ended && !stays && cut != nil {
		err = r.tell(ctx, local, batch.CodeCut, cut.Error())
	}
	if ended && !stays && !p.Named {
		r.acks.retire(local, p.End)
	}
	if stays && cut != nil && r.told[local] != cut.Error() {
		r.cut = errors.Join(r.cut, cut)
	}
	return ended, err
}

// cause is why a source ended early, nil where it did not.
func cause(root broker.Path, local string, p broker.Progress) error {
	if p.Cut == "" {
		return nil
	}
	return fmt.Errorf("queue %s: %w, after %d items of source %s: %s", root.Queue, broker.ErrCut, p.End, local, p.Cut)
}

// away tells that nobody adds to a named source, once.
func (r *Receiver) away(ctx context.Context, root broker.Path, local string, p broker.Progress) error {
	if p.Away == "" {
		delete(r.told, local)
		return nil
	}
	return r.tell(ctx, local, batch.CodeAway, fmt.Sprintf("queue %s: source %s is away after %d items: %s; whoever scatters under its name goes on",
		root.Queue, local, p.Stored, p.Away))
}

// tell hands out a notice about a source, unless it was the last one.
func (r *Receiver) tell(ctx context.Context, source, code, message string) error {
	if r.told[source] == message {
		return nil
	}
	r.told[source] = message
	return r.out(ctx, notice(source, code, message))
}
