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

// A Sender stores the batches of one source. One goroutine calls Send and Finish.
type Sender struct {
	c       *broker.Client
	source  broker.Source
	mailbox string
	wake    <-chan struct{} // has a token if there may be room
	window  broker.Window
	portion atomic.Pointer[Portion]
	room    int64 // items for which there was room at the last reply, -1: no bound
	share   int   // bytes of the next call after the memory of Redis was full, 0: no bound
	flight  inFlight
	waits   *waitClocks
	spans   spans
}

// NewSender makes a Sender for a source. mailbox is the mailbox that gets a hint when the queue has
// room again. The caller then sends to wake. window bounds the items between the source and its
// gathers.
func NewSender(c *broker.Client, s broker.Source, mailbox string, wake <-chan struct{}, window broker.Window) *Sender {
	sender := &Sender{c: c, source: s, mailbox: mailbox, wake: wake, window: window, room: -1, flight: inFlight{limit: inFlightBytes, delivered: -1}, waits: newWaitClocks()}
	sender.portion.Store(&Portion{Items: 1, Batches: firstBatches})
	return sender
}

// Portion is the size of the next send. Any goroutine may call it.
func (s *Sender) Portion() Portion { return *s.portion.Load() }

// Source is the source of the Sender.
func (s *Sender) Source() broker.Source { return s.source }

const (
	// lookAgain is how long Await waits without a hint that there is room: a hint may be lost.
	lookAgain = time.Second
	// closing limits a request that is made although the context has ended.
	closing = 2 * time.Second
)

// Send stores batches, which continue those sent before. It waits while there is no room for them.
func (s *Sender) Send(ctx context.Context, batches []batch.Batch) error {
	parcels := Parcels(batches)
	parent := s.parent(ctx)
	for i := range parcels {
		s.beginSpans(ctx, &parcels[i], parent)
	}
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

// Parcels makes parcels of batches that are not in Redis.
func Parcels(batches []batch.Batch) []broker.Parcel {
	parcels := make([]broker.Parcel, len(batches))
	for i, b := range batches {
		parcels[i].Batch = b
	}
	return parcels
}

// A Storing is the outcome of one call of Store.
type Storing struct {
	Full    bool       // there is no room for the remaining parcels: call Await
	Dropped ranges.Set // offsets of items of these parcels that the policy dropped
}

// Store stores parcels in one call, as far as there is room, and removes the stored and the dropped
// ones from the list. ErrFull: the policy of the source is OverflowFail, and there is no room for
// the parcels on the list. After another error, parcels on the list may be stored.
func (s *Sender) Store(ctx context.Context, parcels *[]broker.Parcel) (done Storing, err error) {
	fit, err := s.fit(ctx, parcels)
	if err == nil {
		done, err = s.send(ctx, fit, parcels)
	}
	if err != nil {
		s.spans.fail(err)
	}
	return done, err
}

// Discard deletes the payloads of parcels that will not be stored, also after ctx has ended.
// Payloads that it cannot delete expire.
func (s *Sender) Discard(ctx context.Context, parcels []broker.Parcel) {
	s.waits.none()
	s.spans.fail(errNotStored)
	s.discard(ctx, parcels)
}

func (s *Sender) discard(ctx context.Context, parcels []broker.Parcel) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	_ = s.c.Discard(last, parcels...)
}

// fit returns the number of parcels for which there should be room, at least one. It splits the
// first parcel if only a part of it has room.
func (s *Sender) fit(ctx context.Context, parcels *[]broker.Parcel) (n int, err error) {
	most, err := s.fitShare(ctx, parcels)
	if err != nil || s.room < 0 {
		return most, err
	}
	for items := int64(0); n < most && items < s.room; n++ {
		items += int64((*parcels)[n].N)
	}
	first := (*parcels)[0]
	if s.room > 0 && s.room < int64(first.N) {
		return 1, s.cut(ctx, parcels, int(s.room))
	}
	return max(1, n), nil
}

// fitShare returns the number of parcels of the share, at least one. It splits the first parcel if
// that exceeds the share.
func (s *Sender) fitShare(ctx context.Context, parcels *[]broker.Parcel) (n int, err error) {
	if s.share == 0 {
		return len(*parcels), nil
	}
	first := (*parcels)[0]
	if at := first.ItemsWithin(s.share); at < first.N {
		return 1, s.cut(ctx, parcels, at)
	}
	for left := s.share; n < len(*parcels) && left >= len((*parcels)[n].Frame); n++ {
		left -= len((*parcels)[n].Frame)
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
	*parcels = append([]broker.Parcel{{Batch: head, Trace: first.Trace}, {Batch: tail, Trace: first.Trace}}, (*parcels)[1:]...)
	s.discard(ctx, []broker.Parcel{first})
	return nil
}

// send stores the first n parcels as far as there is room.
func (s *Sender) send(ctx context.Context, n int, parcels *[]broker.Parcel) (done Storing, err error) {
	window := s.window
	if s.source.Overflow == "" || s.source.Overflow == broker.OverflowBlock { // other policies would drop items for it
		window = s.flight.window(window)
	}
	s.waits.answer.Begin()
	got, err := s.c.Scatter(ctx, s.source, s.mailbox, window, (*parcels)[:n])
	s.waits.answer.End()
	if err != nil {
		return done, err
	}
	s.waits.answered(got)
	s.learn(got)
	if done.Dropped, err = ranges.ParseSpans(got.Dropped); err != nil {
		return done, err
	}
	for len(*parcels) > 0 && (*parcels)[0].End() <= got.Stored {
		s.spans.end((*parcels)[0].End())
		s.countSent(ctx, &(*parcels)[0])
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
	if done.Full = got.Full && (got.Room <= 0 || got.Room >= int64((*parcels)[0].N)); done.Full {
		s.waits.forRoom(got)
	}
	return done, nil
}

func (s *Sender) learn(got broker.Scattered) {
	s.room = got.Room
	switch {
	case got.Memory:
		s.share = broker.FullBytes
	case s.share > pendingBytes:
		s.share = 0
	default:
		s.share *= 2
	}
	inFlight := int64(0)
	if got.Low >= 0 {
		inFlight = got.Stored - got.Low
	}
	p := portionFor(got.Cost, got.Stored, inFlight)
	if got.Limit > 0 {
		p.Items, p.Crowded = int(min(int64(p.Items), got.Limit)), int(min(int64(p.Crowded), got.Limit))
	}
	s.portion.Store(&p)
}

// Await waits until there may be room, or nudge has a token, or ctx ends.
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
		s.room = 0 // probably there is no room: send one parcel to find out
	}
	return nil
}

// Confirm stores again that the source has items up to an offset, which must be above 0. A failure takes
// the place of each item that Redis has lost, as a failover may lose the last ones. It costs one round
// trip.
func (s *Sender) Confirm(ctx context.Context, end int64) error {
	last := batch.Batch{Source: s.source.Name, First: end - 1, N: 1, Lost: &batch.Failure{
		Code: batch.CodeLost, Message: "Redis has lost it, behind the last items that it has stored", Stage: s.source.Queue.Name,
	}}
	_, err := s.c.Scatter(ctx, s.source, s.mailbox, broker.Window{}, Parcels([]batch.Batch{last}))
	return err
}

// Finish ends the source at an offset.
func (s *Sender) Finish(ctx context.Context, end int64) error {
	s.waits.answer.Begin()
	defer s.waits.answer.End()
	return s.c.Finish(ctx, s.source, end)
}

// Abandon ends the source behind its stored items, also after ctx has ended.
func (s *Sender) Abandon(ctx context.Context, cause error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	text, _ := batch.Describe(cause)
	return s.c.Abandon(last, s.source, text)
}
