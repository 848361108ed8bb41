package edge

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// skip hands out a failure in the place of each item that a source has dropped:
// no entry will come for it.
func (r *Receiver) skip(ctx context.Context, root broker.Path, source, gaps string) error {
	if gaps == "" {
		return nil
	}
	dropped, err := parseSpans(gaps)
	if err != nil {
		return fmt.Errorf("gather queue %s: what source %s has dropped: %w", r.g.Queue.Name, source, err)
	}
	r.order.drop(source, dropped, batch.Failure{
		Code: batch.CodeDropped, Message: "there was no room for it in queue " + root.Queue, Stage: root.Queue,
	})
	return r.flush(ctx)
}

// drop puts a failure in the place of what was dropped and is not known yet.
func (o *order) drop(source string, dropped ranges, why batch.Failure) {
	l := o.lane(source)
	for _, gap := range dropped {
		for _, s := range l.gaps.without(max(gap.from, l.next), gap.to) {
			o.fail(source, s, &why)
		}
		l.gaps = l.gaps.add(gap.from, gap.to)
	}
}
