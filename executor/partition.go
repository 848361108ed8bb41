package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A partition is the part of an Executor in one partition of the namespace: a mailbox, a lease, and
// the queues that go with the Executor.
type partition struct {
	ex      *Executor
	c       *broker.Client
	mailbox *mailbox
	flows   flows
	fleet   fleetView
	ends    storedEnds
	owed    *obligations
	submits submitters
	active  activity

	running errgroup.Group                                 // the goroutines of start
	within  func(do func(ctx context.Context) error) error // calls do with their context; start sets it
	stop    context.CancelFunc                             // ends their context
}

func newPartition(ex *Executor, c *broker.Client) *partition {
	p := &partition{ex: ex, c: c, mailbox: newMailbox(c, ex.id, ex.log), owed: newObligations(ex.lease, ex.log)}
	p.flows.look = p.lookAt
	return p
}

// start joins the partition and starts its goroutines, which run until close. ctx bounds the call
// only. After an error, close must be called as well.
func (p *partition) start(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	card := map[string]string{"host": host, "pid": strconv.Itoa(os.Getpid()), "lease": strconv.FormatInt(p.ex.lease.Milliseconds(), 10)}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop, p.within = stop, func(do func(context.Context) error) error { return do(life) }
	p.running.Go(func() error { p.owed.run(life); return nil })
	if err := p.c.Join(ctx, broker.RoleExecutor, p.ex.id, card); err != nil {
		return fmt.Errorf("connect to %s: %w", p.c, err)
	}
	lease := p.c.Lease(broker.RoleExecutor, p.ex.id, p.ex.lease)
	reader := lease.Reader(mailboxWait)
	p.running.Go(func() error { p.mailbox.listen(life, reader); return nil })
	p.running.Go(func() error { p.heartbeat(life, lease, card); return nil })
	p.running.Go(func() error { p.tend(life); return nil })
	return nil
}

// heartbeat renews the lease until ctx ends. If other processes have declared this process dead, it
// joins again: the queues of a dead process are deleted after a grace time only. It does no other
// work that waits, since a late heartbeat is a death.
func (p *partition) heartbeat(ctx context.Context, lease *broker.Lease, card map[string]string) {
	defer lease.Close()
	shown := broker.CardFields{}
	for lease.Wait(ctx) {
		_, err := lease.Beat(ctx, p.active.fields(shown)...)
		if err != nil {
			clear(shown)
		}
		fenced := errors.Is(err, broker.ErrFenced)
		if fenced && p.ex.tasks.isClosed() { // Close has left the partition
			continue
		}
		if fenced {
			p.ex.log.WarnContext(ctx, "the lease ran out: joining again", "err", err)
			if err = p.c.Join(ctx, broker.RoleExecutor, p.ex.id, card); err == nil {
				p.resume(p.ex.id)
			}
		}
		if err != nil && ctx.Err() == nil {
			p.ex.log.WarnContext(ctx, "heartbeat", "err", err)
		}
	}
}

// tend stores the ends of sources again until ctx ends. In the home partition it also counts the
// workers, once a lease. The work grows with the number of sources, so it is apart from the
// heartbeat.
func (p *partition) tend(ctx context.Context) {
	tick := time.NewTicker(p.ex.lease / broker.Beats)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.confirmEnds(ctx)
		if i%broker.Beats == 0 && p == p.ex.home {
			err = errors.Join(err, p.ex.countWorkers(ctx))
		}
		if err != nil && ctx.Err() == nil {
			p.ex.log.WarnContext(ctx, "look after an executor", "err", err)
		}
	}
}

// close deletes the keys of the Executor in this partition and waits for the goroutines to end.
func (p *partition) close() error {
	err := p.within(p.leave)
	p.stop()
	_ = p.running.Wait() // its functions return nil
	return err
}

// leave deletes the keys that go with the Executor. The keys of an embedded broker need no
// deletion.
func (p *partition) leave(ctx context.Context) error {
	if p.ex.server != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	p.flows.close()
	err := errors.Join(p.owed.close(ctx), p.mailbox.dropFutures(ctx))
	owned, failed := p.c.Owned(ctx, p.ex.id)
	err = errors.Join(err, failed, p.c.DeleteOwned(ctx, p.ex.id, owned))
	if err == nil {
		err = p.c.Leave(ctx, broker.RoleExecutor, p.ex.id)
	}
	if err != nil {
		return fmt.Errorf("close executor: the remaining keys are deleted after the lease has run out: %w", err)
	}
	return nil
}

// partitions are the partitions that an Executor has joined beside its home, each when it first
// used a queue there.
type partitions struct {
	mu sync.Mutex
	// byIndex has a channel of capacity 1 for each of them. A call takes the partition out, nil
	// before it is joined, and puts it back.
	byIndex map[int]chan *partition
}

// partitionOf returns the part of the Executor in the partition of a client. It joins the partition
// at the first call. Close waits for the caller.
func (ex *Executor) partitionOf(ctx context.Context, c *broker.Client) (*partition, error) {
	if c == ex.home.c {
		return ex.home, nil
	}
	slot := ex.others.slot(c.Index())
	var p *partition
	select {
	case p = <-slot:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var err error
	if p == nil {
		p, err = ex.join(ctx, c)
	}
	slot <- p
	return p, err
}

func (ex *Executor) join(ctx context.Context, c *broker.Client) (*partition, error) {
	p := newPartition(ex, c)
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (ps *partitions) slot(index int) chan *partition {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.byIndex == nil {
		ps.byIndex = map[int]chan *partition{}
	}
	if ps.byIndex[index] == nil {
		ps.byIndex[index] = make(chan *partition, 1)
		ps.byIndex[index] <- nil
	}
	return ps.byIndex[index]
}

// all returns the partitions that were joined. It waits for calls that join one.
func (ps *partitions) all() (all []*partition) {
	ps.mu.Lock()
	slots := slices.Collect(maps.Values(ps.byIndex))
	ps.mu.Unlock()
	for _, slot := range slots {
		p := <-slot
		slot <- p
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

func (ps *partitions) close() (err error) {
	for _, p := range ps.all() {
		err = errors.Join(err, p.close())
	}
	return err
}

// placeOf returns the partition of the queue of a name: p, unless the queue is in another one.
func (p *partition) placeOf(ctx context.Context, queue string) (*partition, error) {
	c, err := p.c.Place(ctx, queue, -1)
	if err != nil {
		return nil, err
	}
	return p.ex.partitionOf(ctx, c)
}

// reserve makes sure that a named queue can be made in this partition: no other partition uses the
// name.
func (p *partition) reserve(ctx context.Context, queue string) error {
	c, err := p.c.Place(ctx, queue, -1)
	if err != nil || c == p.c {
		return err
	}
	if _, err = c.Look(ctx, queue); err == nil {
		return fmt.Errorf("queue %q: %w: it is in partition %d, and a flow stays within one, which here is %d: use another name",
			queue, ErrConsumerExists, c.Index(), p.c.Index())
	}
	if errors.Is(err, ErrQueueNotFound) { // it was deleted
		_, err = p.c.Place(ctx, queue, c.Index())
	}
	return err
}

// joinable returns an error if queues of two partitions cannot be in one flow.
func (p *partition) joinable(call string, other *partition) error {
	switch {
	case other == p:
		return nil
	case other.ex == p.ex:
		return fmt.Errorf("%s: %w: the queues are in %d and %d, and a flow stays within one: "+
			"what one Executor scatters without names is in one", call, ErrPartitions, p.c.Index(), other.c.Index())
	}
	return fmt.Errorf("%s: the queues belong to two Executors: open them on one", call)
}
