package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// seats are the other partitions that an Executor takes part in, each as an
// Executor below it, from when it first needs a queue there.
type seats struct {
	mu sync.Mutex
	m  map[int]chan *Executor // by partition; holds it while no call looks at it
}

// at returns the Executor of a partition.
func (ex *Executor) at(ctx context.Context, part *broker.Client) (*Executor, error) {
	if ex.parent != nil {
		return ex.parent.at(ctx, part)
	}
	if part == ex.c {
		return ex, nil
	}
	if !ex.tasks.enter() {
		return nil, ErrClosed
	}
	defer ex.tasks.group.Done()
	slot := ex.seats.slot(part.Index())
	var seat *Executor
	select {
	case seat = <-slot:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var err error
	if seat == nil {
		seat, err = ex.sit(ctx, part)
	}
	slot <- seat
	return seat, err
}

func (s *seats) slot(partition int) chan *Executor {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[int]chan *Executor{}
	}
	if s.m[partition] == nil {
		s.m[partition] = make(chan *Executor, 1)
		s.m[partition] <- nil
	}
	return s.m[partition]
}

// sit joins a partition.
func (ex *Executor) sit(ctx context.Context, part *broker.Client) (*Executor, error) {
	seat := &Executor{settings: ex.settings, inspector: ex.inspector, id: ex.id, conn: ex.conn, c: part, parent: ex, calls: make(chan call)}
	seat.mailbox, seat.owed = newMailbox(part, ex.id, ex.log), newObligations(ex.lease, ex.log)
	seat.flows.look = seat.lookAt
	if err := seat.start(ctx); err != nil {
		return nil, errors.Join(err, seat.Close())
	}
	return seat, nil
}

// all are the seats that were taken. None is being taken meanwhile.
func (s *seats) all() (all []*Executor) {
	s.mu.Lock()
	slots := slices.Collect(maps.Values(s.m))
	s.mu.Unlock()
	for _, slot := range slots {
		seat := <-slot
		slot <- seat
		if seat != nil {
			all = append(all, seat)
		}
	}
	return all
}

func (s *seats) close() (err error) {
	for _, seat := range s.all() {
		err = errors.Join(err, seat.Close())
	}
	return err
}

// place makes sure that a queue that stays can be made in the partition of its
// flow: its name is used there alone.
func (ex *Executor) place(ctx context.Context, name string) error {
	part, err := ex.c.Place(ctx, name, -1)
	if err != nil || part == ex.c {
		return err
	}
	if _, err = part.Look(ctx, name); err == nil {
		return fmt.Errorf("queue %q: %w: it is in partition %d, and a flow stays within one, which here is %d: use another name",
			name, ErrConsumerExists, part.Index(), ex.c.Index())
	}
	if errors.Is(err, ErrQueueNotFound) { // it has been deleted
		_, err = ex.c.Place(ctx, name, part.Index())
	}
	return err
}

// together tells why two queues cannot be in one flow, if they cannot.
func (ex *Executor) together(what string, other *Executor) error {
	switch {
	case other == ex:
		return nil
	case other.id == ex.id:
		return fmt.Errorf("%s: %w: the queues are in %d and %d, and a flow stays within one: "+
			"what one Executor scatters without names is in one", what, ErrPartitions, ex.c.Index(), other.c.Index())
	}
	return fmt.Errorf("%s: the queues belong to two Executors: open them on one", what)
}
