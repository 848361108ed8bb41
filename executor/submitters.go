package executor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/runner"
)

const (
	// submitterIdle is how long a submitter is kept that no call uses.
	submitterIdle = time.Minute
	// idleVariants is how many of them are kept that differ in their options only: a timeout that
	// is the rest of a deadline makes one for each call.
	idleVariants = 4
)

// A submission is the values that the futures of one submitter have in common.
type submission struct {
	function string // name of the function, or of a chain
	in, out  codec.Info
	calls    string // of a chain: names and types of its functions; "" for a function
	options  stageOptions
}

// A submitter feeds the stages of a submission.
type submitter struct {
	queues  []string      // that the stages read, upstream first
	turn    chan struct{} // a token: one call sends at a time
	wake    chan struct{}
	sender  *producer.Sender
	batcher *producer.Batcher
	users   atomic.Int64 // calls that send, and futures without a result
	used    atomic.Int64 // start of the last call that uses it, Unix time in ns
}

// submitters are made when they are first needed, and forgotten when they are idle.
type submitters struct {
	mu    sync.Mutex
	slots map[submission]submitterSlot
}

// A submitterSlot holds a submitter while no call looks at it, nil if there is none.
type submitterSlot chan *submitter

// submit sends items. The source or the queue of a submission may be gone, since this process did
// not answer for long or since Redis has lost it: then submit makes new ones.
func (p *partition) submit(ctx context.Context, sub submission, f *runner.Function, items [][]byte) ([]*result, error) {
	var stale *submitter
	for {
		s, err := p.submitter(ctx, sub, f, stale)
		if err != nil {
			return nil, err
		}
		results, err := s.send(ctx, p.mailbox, items)
		s.users.Add(-1)
		if stale != nil || !errors.Is(err, ErrQueueNotFound) && !errors.Is(err, ErrFenced) {
			return results, err
		}
		stale = s
	}
}

// submitter returns the submitter of a submission, not the stale one, and counts the caller among
// its users. Two calls for one submission wait for each other; they hold no lock while they wait.
func (p *partition) submitter(ctx context.Context, sub submission, f *runner.Function, stale *submitter) (*submitter, error) {
	slot, s, err := p.submits.take(ctx, sub)
	if err != nil {
		return nil, err
	}
	if s != nil && s == stale {
		p.mailbox.removeSender(s.wake)
		s = nil
	}
	made := s == nil
	if made {
		s, err = p.newSubmitter(ctx, sub, f)
	}
	if s != nil {
		s.users.Add(1)
		s.used.Store(time.Now().UnixNano())
	}
	slot <- s
	switch {
	case err != nil:
		p.submits.forget(sub, slot)
	case made:
		p.forgetLater(sub, slot)
		for variant, idle := range p.submits.surplus(sub) {
			p.forgetIdle(variant, idle, 0)
		}
	}
	return s, err
}

// take takes the submitter out of the slot of a submission, nil if there is none. The caller puts a
// submitter or nil back.
func (ss *submitters) take(ctx context.Context, sub submission) (slot submitterSlot, s *submitter, err error) {
	for {
		ss.mu.Lock()
		slot = ss.slots[sub]
		if slot == nil {
			if ss.slots == nil {
				ss.slots = map[submission]submitterSlot{}
			}
			slot = make(submitterSlot, 1)
			slot <- nil
			ss.slots[sub] = slot
		}
		ss.mu.Unlock()
		select {
		case s = <-slot:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		if s != nil || ss.has(sub, slot) {
			return slot, s, nil
		}
		slot <- nil // it was forgotten meanwhile, and another call may wait for it too
	}
}

func (ss *submitters) has(sub submission, slot submitterSlot) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.slots[sub] == slot
}

// forget forgets a slot if it holds no submitter.
func (ss *submitters) forget(sub submission, slot submitterSlot) {
	select {
	case s := <-slot:
		ss.mu.Lock()
		if s == nil && ss.slots[sub] == slot {
			delete(ss.slots, sub)
		}
		ss.mu.Unlock()
		slot <- s
	default: // a call looks at it
	}
}

// surplus returns idle submissions of the same functions, without the ones that were used last.
func (ss *submitters) surplus(of submission) map[submission]submitterSlot {
	type idle struct {
		sub  submission
		used int64
	}
	var all []idle
	surplus := map[submission]submitterSlot{}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for sub, slot := range ss.slots {
		if sub.calls != of.calls || sub == of {
			continue
		}
		select {
		case s := <-slot:
			if s != nil && s.users.Load() == 0 {
				all = append(all, idle{sub, s.used.Load()})
			}
			slot <- s
		default:
		}
	}
	slices.SortFunc(all, func(a, b idle) int { return cmp.Compare(b.used, a.used) })
	for _, i := range all[min(len(all), idleVariants):] {
		surplus[i.sub] = ss.slots[i.sub]
	}
	return surplus
}

// forgetLater forgets a submitter once it is idle for a while.
func (p *partition) forgetLater(sub submission, slot submitterSlot) {
	p.owed.add(&obligation{what: "deletion of an idle queue of " + sub.function, due: time.Now().Add(submitterIdle), do: func(context.Context) error {
		if !p.forgetIdle(sub, slot, submitterIdle) {
			p.forgetLater(sub, slot)
		}
		return nil
	}})
}

// forgetIdle forgets a submitter that was idle for so long, and deletes its queue in the
// background. It reports whether the submitter is gone.
func (p *partition) forgetIdle(sub submission, slot submitterSlot, since time.Duration) (gone bool) {
	var s *submitter
	select {
	case s = <-slot:
	default: // a call looks at it
		return false
	}
	idle := s != nil && s.users.Load() == 0 && time.Since(time.Unix(0, s.used.Load())) >= since
	if s == nil || idle {
		slot <- nil
		p.submits.forget(sub, slot)
	} else {
		slot <- s
	}
	if idle {
		p.mailbox.removeSender(s.wake)
		p.owed.soon("deletion of queues "+strings.Join(s.queues, ", "), func(ctx context.Context) error { return p.c.DeleteAll(ctx, s.queues) })
	}
	return s == nil || idle
}
