package producer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// A Sender stores the batches of a source. Send and Finish are called by one
// goroutine.
type Sender struct {
	c       *broker.Client
	source  broker.Source
	mailbox string
	wake    <-chan struct{} // there may be room
	window  broker.Window
	portion atomic.Pointer[Portion]
	room    int64 // items that the last reply had room for, -1: no bound
	flight  inFlight
}

// NewSender makes a Sender for a source. mailbox is the mailbox that gets a hint when the queue has room
// again. The caller then sends to wake. window bounds the items between the source and its gathers.
func NewSender(c *broker.Client, s broker.Source, mailbox string, wake <-chan struct{}, window broker.Window) *Sender {
	sender := &Sender{c: c, source: s, mailbox: mailbox, wake: wake, window: window, room: -1, flight: inFlight{limit: inFlightBytes, delivered: -1}}
	sender.portion.Store(&Portion{1, firstBatches})
	return sender
}

// Portion is what to send now. Any goroutine may ask.
func (s *Sender) Portion() Portion { return *s.portion.Load() }

// Source is the source that it adds to.
func (s *Sender) Source() broker.Source { return s.source }

const (
	// lookAgain is how long Await waits without a hint that there is room: a hint may be lost.
	lookAgain = time.Second
	// closing limits a request that is made although the context has ended.
	closing = 2 * time.Second
)

// Send stores batches, which follow on those sent before, and waits while
// there is no room for them.
func (s *Sender) Send(ctx context.Context, batches []batch.Batch) error {
	parcels := Parcels(batches)
	for len(parcels) > 0 {
		got, err := s.Store(ctx, &parcels)
		if err == nil && got.Full {
			err = s.Await(ctx, nil)
		}
		if err != nil {
			s.Discard(ctx, parcels)
			return err
		}
	}
	return nil
}

// Parcels are batches that are not in Redis yet.
func Parcels(batches []batch.Batch) []broker.Parcel {
	parcels := make([]broker.Parcel, len(batches))
	for i, b := range batches {
		parcels[i].Batch = b
	}
	return parcels
}

// A Storing is the outcome of one call of Store.
type Storing struct {
	Full    bool       // there is no room for the rest: Await
	Dropped ranges.Set // offsets that a policy dropped of these parcels
}

// Store stores parcels in one call, as far as there is room, and takes the stored
// and the dropped ones off the list. ErrFull: the policy of the source is Fail, and
// there is no room for what is left. After another error, parcels on the list may be
// stored.
func (s *Sender) Store(ctx context.Context, parcels *[]broker.Parcel) (Storing, error) {
	fit, err := s.fit(ctx, parcels)
	if err != nil {
		return Storing{}, err
	}
	return s.send(ctx, fit, parcels)
}

// Discard deletes the payloads of parcels that will not be stored, also after ctx
// has ended. Those that it cannot delete expire.
func (s *Sender) Discard(ctx context.Context, parcels []broker.Parcel) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_ = s.c.Discard(last, parcels...)
}

// fit is how many parcels there should be room for, at least one; the first is
// cut if it is more than that.
func (s *Sender) fit(ctx context.Context, parcels *[]broker.Parcel) (n int, err error) {
	if s.room < 0 {
		return len(*parcels), nil
	}
	for items := int64(0); n < len(*parcels) && items < s.room; n++ {
		items += int64((*parcels)[n].N)
	}
	first := (*parcels)[0]
	if s.room > 0 && s.room < int64(first.N) {
		return 1, s.cut(ctx, parcels, int(s.room))
	}
	return max(1, n), nil
}

// cut splits the first parcel.
func (s *Sender) cut(ctx context.Context, parcels *[]broker.Parcel, at int) error {
	first := (*parcels)[0]
	head, tail, err := first.Split(at)
	if err != nil {
		return err
	}
	*parcels = append([]broker.Parcel{{Batch: head}, {Batch: tail}}, (*parcels)[1:]...)
	s.Discard(ctx, []broker.Parcel{first})
	return nil
}

// send stores the first n parcels as far as there is room.
func (s *Sender) send(ctx context.Context, n int, parcels *[]broker.Parcel) (done Storing, err error) {
	window := s.window
	if s.source.Overflow == "" || s.source.Overflow == broker.OverflowBlock { // other policies would drop items for it
		window = s.flight.window(window)
	}
	got, err := s.c.Scatter(ctx, s.source, s.mailbox, window, (*parcels)[:n])
	if err != nil {
		return done, err
	}
	s.learn(got)
	if done.Dropped, err = ranges.ParseSpans(got.Dropped); err != nil {
		return done, err
	}
	for len(*parcels) > 0 && (*parcels)[0].End() <= got.Stored {
		s.flight.addStored((*parcels)[0].End(), int64(len((*parcels)[0].Frame)))
		*parcels = (*parcels)[1:]
	}
	s.flight.setDelivered(got.Low)
	if len(*parcels) == 0 {
		return done, nil
	}
	if got.Cut { // a predecessor stored a part of it
		if err := s.cut(ctx, parcels, int(got.Stored-(*parcels)[0].First)); err != nil {
			return done, err
		}
		*parcels = (*parcels)[1:]
	}
	// No room for items, or room for them and not for their bytes.
	if got.Full && s.source.Overflow == broker.OverflowFail {
		return done, fmt.Errorf("scatter into queue %s: %w", s.source.Queue.Name, broker.ErrFull)
	}
	done.Full = got.Full && (got.Room <= 0 || got.Room >= int64((*parcels)[0].N))
	return done, nil
}

func (s *Sender) learn(got broker.Scattered) {
	s.room = got.Room
	inFlight := int64(0)
	if got.Low >= 0 {
		inFlight = got.Stored - got.Low
	}
	p := portionFor(got.Cost, got.Stored, inFlight)
	if got.Limit > 0 {
		p.Items = int(min(int64(p.Items), got.Limit))
	}
	s.portion.Store(&p)
}

// Await waits until there may be room, or until nudge is rung.
func (s *Sender) Await(ctx context.Context, nudge <-chan struct{}) error {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-nudge:
	case <-s.wake:
		s.room = -1
	case <-timer.C:
		s.room = 0 // most likely: one parcel is enough to find out
	}
	return nil
}

// Finish ends the source at an offset.
func (s *Sender) Finish(ctx context.Context, end int64) error {
	return s.c.Finish(ctx, s.source, end)
}

// Abandon ends the source where it stands, also after ctx has ended.
func (s *Sender) Abandon(ctx context.Context, cause error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	text, _ := batch.Describe(cause)
	return s.c.Abandon(last, s.source, text)
}
