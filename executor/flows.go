package executor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// reopenLimit is how long after the end of a gather another one may begin, if no other call
	// keeps the flow.
	reopenLimit = 500 * time.Millisecond
	// ungatheredLimit is how long a flow is kept that no gather has begun to read, after its
	// contexts have ended.
	ungatheredLimit = 10 * time.Minute
	// deleteLimit is how long a gather waits for the deletion of the queues of its flow.
	deleteLimit = 2 * time.Second
)

// flows are the queues of an Executor without a name of the user's, and the stages between them. A
// queue at the end of a flow is needed until its stream was delivered to its end, or until it is
// abandoned. A queue above it is needed as long as a queue below is.
type flows struct {
	look func(queue string, after time.Duration) // calls abandon later

	mu    sync.Mutex
	links map[string]*link
}

// A link is one of these queues.
type link struct {
	name    string
	above   []*link // the queues that it is fed from
	below   []*link // the queues that it feeds
	live    bool    // the context of the call that made it has not ended
	unwatch func() bool
	stop    context.CancelCauseFunc // of the scatter into it, nil if a stage feeds it

	gathers int       // under way
	begun   bool      // a gather has begun, or could not begin
	left    bool      // the caller of the last gather does not want the remaining items
	since   time.Time // of the last change of these fields or of a context
}

// add notes a queue that a call with a context has made, and the queues that feed it. stop ends the
// scatter into it.
func (f *flows) add(ctx context.Context, queue string, stop context.CancelCauseFunc, from ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.links == nil {
		f.links = map[string]*link{}
	}
	l := f.links[queue]
	if l == nil {
		l = &link{name: queue, stop: stop}
		f.links[queue] = l
	} else {
		l.unwatch()
	}
	l.live, l.since = true, time.Now()
	l.unwatch = context.AfterFunc(ctx, func() { f.expire(l) })
	for _, name := range from {
		if up := f.links[name]; up != nil && !slices.Contains(l.above, up) {
			l.above, up.below = append(l.above, up), append(up.below, l)
		}
	}
}

// expire notes that the context of a link has ended.
func (f *flows) expire(l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.links[l.name] == l {
		l.live = false
		f.changed(l)
	}
}

// changed has look called for the ends of the flow below a link.
func (f *flows) changed(l *link) {
	now := time.Now()
	l.walk(func(l *link) []*link { return l.below }, func(l *link) bool {
		l.since = now
		if len(l.below) == 0 && l.gathers == 0 {
			f.look(l.name, l.keepFor())
		}
		return true
	})
}

// walk visits a link and all links that next leads to, once each, until visit returns false. It
// returns false then.
func (l *link) walk(next func(*link) []*link, visit func(*link) bool) bool {
	seen := map[*link]bool{l: true}
	for list := []*link{l}; len(list) > 0; list = list[1:] {
		if !visit(list[0]) {
			return false
		}
		for _, other := range next(list[0]) {
			if !seen[other] {
				seen[other] = true
				list = append(list, other)
			}
		}
	}
	return true
}

// beginGather notes that a gather of a queue begins.
func (f *flows) beginGather(queue string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.links[queue]; l != nil {
		l.gathers++
		l.begun, l.left = true, false
	}
}

// endGather notes that a gather of a queue has ended before its stream did. left: its caller does
// not want the remaining items.
func (f *flows) endGather(queue string, left bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.links[queue]; l != nil {
		l.gathers--
		l.left = left
		f.changed(l)
	}
}

// keepFor is how long a queue is kept that is not needed.
func (l *link) keepFor() time.Duration {
	if l.begun {
		return reopenLimit
	}
	return ungatheredLimit
}

// alive reports whether the context of each call that made the flow down to here is alive.
func (l *link) alive() bool {
	return !l.walk(func(l *link) []*link { return l.above }, func(l *link) bool { return !l.live })
}

// abandoned reports whether no call of this process can gather a queue any more.
func (f *flows) abandoned(queue string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.links[queue]
	return l != nil && len(l.below) == 0 && l.gathers == 0 && (l.left || !l.alive()) && time.Since(l.since) >= l.keepFor()
}

// end forgets a queue, the queues that only feed it, and the queues that only it feeds. It returns
// their names. A cause ends the scatters into them.
func (f *flows) end(queue string, cause error) (gone []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ending := []*link{f.links[queue]}; len(ending) > 0; ending = ending[1:] {
		l := ending[0]
		if l == nil || f.links[l.name] != l {
			continue
		}
		gone = append(gone, l.name)
		for _, up := range f.remove(l, cause) {
			if len(up.below) == 0 {
				ending = append(ending, up)
			}
		}
		for _, down := range l.below {
			if len(down.above) == 0 {
				ending = append(ending, down)
			}
		}
	}
	return gone
}

// forget forgets a queue that was deleted. The queues that feed it may get another stage.
func (f *flows) forget(queue string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.links[queue]; l != nil {
		for _, up := range f.remove(l, errDeleted) {
			up.begun = up.begun || l.begun
			f.changed(up)
		}
	}
}

// remove removes a link. It returns the links above.
func (f *flows) remove(l *link, cause error) (above []*link) {
	delete(f.links, l.name)
	l.unwatch()
	if l.stop != nil && cause != nil {
		l.stop(cause)
	}
	is := func(other *link) bool { return other == l }
	for _, up := range l.above {
		up.below = slices.DeleteFunc(up.below, is)
	}
	for _, down := range l.below {
		down.above = slices.DeleteFunc(down.above, is)
	}
	return l.above
}

// has reports whether a queue is one of them and was not deleted.
func (f *flows) has(queue string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.links[queue] != nil
}

// close forgets all queues.
func (f *flows) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.links {
		l.unwatch()
	}
	f.links = nil
}

// The cause of the end of a scatter into a queue that is deleted.
var (
	errDeleted   = fmt.Errorf("%w: it was deleted", ErrQueueNotFound)
	errAbandoned = fmt.Errorf("%w: it was deleted, since no call gathers its flow any more", ErrQueueNotFound)
)

// resume resumes the flows of an executor that were paused after its death: it has joined again, or
// this Executor reads one of them.
func (p *partition) resume(owner string) {
	p.owed.soon("resumption of the flows of executor "+owner, func(ctx context.Context) error { return p.c.PauseFlows(ctx, owner) })
}

// resumeOwner is resume for the owner of a queue, unless that is this Executor.
func (p *partition) resumeOwner(q broker.Queue) {
	if q.Owner != "" && q.Owner != p.ex.id {
		p.resume(q.Owner)
	}
}

// deleteDelivered deletes the queues of a flow that was delivered to its end.
func (p *partition) deleteDelivered(ctx context.Context, queue string) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	_ = p.deleteQueues(limited, p.flows.end(queue, nil)) // it is repeated
}

// deleteQueues deletes queues, in the background if that fails at first.
func (p *partition) deleteQueues(ctx context.Context, queues []string) error {
	if len(queues) == 0 {
		return nil
	}
	err := p.c.DeleteAll(ctx, queues)
	if err != nil {
		p.owed.soon("deletion of queues "+strings.Join(queues, ", "), func(ctx context.Context) error { return p.c.DeleteAll(ctx, queues) })
	}
	return err
}

// lookAt deletes the flow of a queue after a while, if it is abandoned then.
func (p *partition) lookAt(queue string, after time.Duration) {
	p.owed.add(&obligation{what: "deletion of the flow of queue " + queue, due: time.Now().Add(after), do: func(ctx context.Context) error {
		return p.abandon(ctx, queue)
	}})
}

// abandon deletes the flow of a queue that no call can gather any more. If another process gathers
// the queue, or has made a stage over it, abandon looks at the flow again later.
func (p *partition) abandon(ctx context.Context, queue string) error {
	if !p.flows.abandoned(queue) {
		return nil
	}
	found, err := p.c.Look(ctx, queue)
	switch {
	case err == nil && found.Consumer != "":
		p.lookAt(queue, time.Minute)
		return nil
	case err != nil && !broker.IsRefusal(err):
		return err
	}
	if p.flows.abandoned(queue) { // no gather has begun meanwhile
		_ = p.deleteQueues(ctx, p.flows.end(queue, errAbandoned)) // it is repeated
	}
	return nil
}
