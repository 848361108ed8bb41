package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// readyRoutes returns the routes of queues with unread entries: those of the last hints, or otherwise
// those that Redis names. It wakes another worker for a queue that this one cannot read now.
func (f *fetcher) readyRoutes(ctx context.Context) (routes []*route, err error) {
	m := &f.rings
	ready := m.told
	m.told, m.duty = nil, nil
	if len(ready) == 0 {
		if ready, err = f.askReady(ctx); err != nil || !m.on {
			return nil, err
		}
	}
	m.duty = queuesOf(ready)
	if err := f.learn(ctx, ready); err != nil {
		m.told = append(m.told, ready...)
		return nil, err
	}
	var left []string
	for _, q := range ready {
		r := m.known[q.Queue]
		switch {
		case r == nil || r.stage.ID != q.Stage || !r.takable():
			left = append(left, q.Queue)
			m.skip(q.Queue, ringPause)
		case !slices.Contains(routes, r):
			delete(m.skipped, q.Queue)
			r.revision = q.Revision
			routes = append(routes, r)
		}
	}
	if m.left = len(left) > 0; !m.left {
		return routes, nil
	}
	f.leavesOut.Store(true) // a permit that comes back ends the next read
	return routes, f.passOn(ctx, left)
}

// mostGoneOn is the number of entries with which slots go on before the fetcher looks at the bounds of the
// route: at rings it reads no queue that slots empty.
const mostGoneOn = 4

// mayGoOn reports whether a slot may go on with the next entry of a route.
func (s *session) mayGoOn(r *route) bool {
	return !s.atRings.Load() || r.goneOn.Add(1) <= mostGoneOn
}

// skip leaves a ready queue out for a while.
func (m *ringMode) skip(queue string, pause time.Duration) {
	if m.on {
		m.skipped[queue] = time.Now().Add(pause)
	}
}

// takable reports whether entries of the route may be taken. A ready queue may be read although its out-queue
// was full.
func (r *route) takable() bool {
	return !r.sick && !r.stopped() && r.limiter.free() > 0 && !r.breaker.rests() && r.failing.Load() < completeEntries
}

// askReady asks Redis for ready queues. If there are none, the worker is rung for the next one.
func (f *fetcher) askReady(ctx context.Context) ([]broker.ReadyQueue, error) {
	m, now := &f.rings, time.Now()
	var skipped []string
	for queue, until := range m.skipped {
		if now.Before(until) {
			skipped = append(skipped, queue)
		} else {
			delete(m.skipped, queue)
		}
	}
	count := max(1, min(polledRoutes, f.concurrency()-int(f.jobs.Load())))
	reply, err := f.client.Ready(ctx, broker.ReadyQuery{
		Worker: f.id, Class: m.class, Count: count, Wait: len(f.collecting) == 0, Pace: f.client.Patience(readWait), Skipped: skipped,
	})
	if errors.Is(err, broker.ErrDenied) {
		f.denyRings(ctx, err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.idle = reply.Idle
	if reply.Gone {
		f.stages.all = true
		return nil, nil
	}
	if reply.Pass {
		f.pass(ctx)
	}
	if narrow(reply.Stages, reply.Workers) && !f.reader.Shared() {
		m.told = append(m.told, reply.Queues...)
		return nil, f.leaveClass(ctx)
	}
	if len(f.all) > 2*m.size+knownSpare || now.Sub(m.looked) >= knownLook {
		if err := f.forgetIdle(ctx, now); err != nil {
			m.told = append(m.told, reply.Queues...)
			return nil, err
		}
		m.looked, m.size = now, len(f.all)
		f.stages.changed = append(f.stages.changed, f.knownStages()...)
	}
	return reply.Queues, nil
}

// learn reads the stages of ready queues that are new here, and those that may have changed with all
// stages behind them.
func (f *fetcher) learn(ctx context.Context, ready []broker.ReadyQueue) error {
	for _, q := range ready {
		r := f.rings.known[q.Queue]
		if r != nil && r.stage.ID == q.Stage && r.revision == q.Revision && !r.sick {
			continue
		}
		if r == nil || r.stage.ID != q.Stage {
			f.stages.changed = append(f.stages.changed, q.Stage)
		}
		f.revise(r)
	}
	if !f.stages.outdated() {
		return nil
	}
	slices.Sort(f.stages.changed)
	f.stages.changed = slices.Compact(f.stages.changed)
	return f.refreshKnown(ctx)
}

// revise makes the fetcher read the stage of a route and those behind it again. r may be nil.
func (f *fetcher) revise(r *route) {
	if r == nil || r.revised {
		return
	}
	r.revised = true
	f.stages.changed = append(f.stages.changed, r.stage.ID)
	for _, reader := range r.readers {
		f.revise(reader)
	}
}
