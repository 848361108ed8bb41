package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Hint is a message of a mailbox: something may have changed.
type Hint struct{ Kind, What string }

// The kinds of hints.
const (
	HintStages  = "stages"  // a stage was made or removed
	HintRoom    = "room"    // a full queue has room again
	HintEnd     = "end"     // a source has ended
	HintSource  = "source"  // a source has joined
	HintGone    = "gone"    // a queue is being deleted
	HintFree    = "free"    // a queue has no gather any more
	HintDone    = "done"    // futures have results
	HintVersion = "version" // a worker has joined that has a function of this one in another version
	HintSuccess = "success" // another worker has succeeded with what failed in this one
	HintCancel  = "cancel"  // a future was canceled
)

// A Route is a stage as a worker reads it.
type Route struct {
	In   string
	Outs []string
}

// Taken is what Take found on a route.
type Taken struct {
	Entries []Entry // what came back first, and then at most one suspect
	Full    bool    // an out-queue is full; the mailbox is told when it has room
	Beyond  bool    // the next entry is beyond the window of its source; the mailbox is told when that moves
	Sick    bool    // the in-queue or an out-queue is gone or no queue
}

// Take reads at most budget entries over the routes, in their order, without
// waiting: what came back first, and of all suspects as many as it may. A reply
// that is lost leaves its entries with the consumer, see Held.
func (c *Client) Take(ctx context.Context, consumer string, budget, suspects int, routes []Route) ([]Taken, error) {
	var keys []string
	args := []any{consumer, budget, c.keys.mailbox(consumer), suspects, c.keys.prefix}
	for _, r := range routes {
		keys = append(keys, c.keys.returns(r.In), c.keys.stream(r.In), c.keys.meta(r.In), c.keys.wait(r.In), c.keys.suspects(r.In))
		for _, out := range r.Outs {
			keys = append(keys, c.keys.stream(out), c.keys.meta(out), c.keys.wait(out))
		}
		args = append(args, r.In, len(r.Outs))
	}
	reply, err := scripts.take.Run(ctx, onlyOnce{c.rdb}, keys, args...).Result()
	c.saw(ctx, "take from queues", err)
	if err != nil {
		return nil, fmt.Errorf("take from queues: %w", c.explained(err))
	}
	taken := make([]Taken, len(routes))
	for i := range taken {
		l := asList(reply).list(i)
		for part, at := range []StreamKind{Returned, Fresh, Suspect} {
			taken[i].Entries = append(taken[i].Entries, entriesOf(StreamRef{routes[i].In, at}, l.list(1+part))...)
		}
		taken[i].Full, taken[i].Sick = l.text(0) == "full", l.text(0) == "sick"
		taken[i].Beyond = l.text(0) == "window"
	}
	return taken, nil
}

// A Reader waits for entries and hints on a connection of its own, under a
// consumer name that also names its mailbox. It is used by one goroutine;
// Interrupt from another one ends a Read that waits.
type Reader struct {
	c        *Client
	rdb      redis.UniversalClient
	consumer string
	wait     time.Duration
	dialed   *dialed
}

// gatherBuffer is for the connection of a gather's reader, in bytes each way. It
// brings entries, not payloads, and there may be thousands: the 32 KiB that a client has
// by default would be two thirds of what a flow that idles takes.
const gatherBuffer = 4 << 10

// Reader makes a Reader of a gather, whose Read waits at most for wait. Close it.
func (c *Client) Reader(consumer string, wait time.Duration) *Reader {
	return c.reader(consumer, wait, nil)
}

func (c *Client) reader(consumer string, wait time.Duration, s *sign) *Reader {
	options, d := c.target.universal(wait), &dialed{conns: map[*link]struct{}{}, sign: s}
	next := options.Dialer
	if next == nil {
		next = redis.NewDialer(&redis.Options{DialTimeout: options.DialTimeout, TLSConfig: options.TLSConfig})
	}
	if s == nil {
		options.ReadBufferSize, options.WriteBufferSize = gatherBuffer, gatherBuffer
	}
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return d.keep(conn)
	}
	return &Reader{c, c.target.connect(options), consumer, wait, d}
}

// Interrupt ends the Read that waits; no other should follow.
func (r *Reader) Interrupt() { r.dialed.close() }

// Close ends the connection. No Read may be under way.
func (r *Reader) Close() error { return r.rdb.Close() }

// dialed holds the open connections of a client. No context ends a read that
// waits on one, and the client complains on stderr when it is closed under it.
type dialed struct {
	sign *sign // that the connection is, nil where it is none

	mu     sync.Mutex
	conns  map[*link]struct{}
	closed bool
}

// A link is one of them.
type link struct {
	net.Conn
	dialed *dialed
}

// Close ends the connection, unless that was done before.
func (l *link) Close() error {
	l.dialed.mu.Lock()
	_, open := l.dialed.conns[l]
	delete(l.dialed.conns, l)
	l.dialed.mu.Unlock()
	if !open {
		return nil
	}
	l.dialed.sign.lost()
	return l.Conn.Close()
}

func (d *dialed) keep(conn net.Conn) (net.Conn, error) {
	l := &link{conn, d}
	d.sign.lost()
	d.mu.Lock()
	d.conns[l] = struct{}{}
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, errors.Join(net.ErrClosed, l.Close())
	}
	return l, nil
}

func (d *dialed) close() {
	d.mu.Lock()
	d.closed = true
	conns := slices.Collect(maps.Keys(d.conns))
	d.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // nobody reads what is left in it
	}
}

// Read waits, at most for wait and not at all for 0, until one of the streams has an entry that nobody has read, or
// the mailbox a hint. It returns at most count entries of each stream. An error
// leaves what may have been read with the consumer, see Held.
func (r *Reader) Read(ctx context.Context, from []StreamRef, count int, wait time.Duration) (entries []Entry, hints []Hint, err error) {
	mailbox := r.c.keys.mailbox(r.consumer)
	args := []any{"XREADGROUP", "GROUP", "w", r.consumer, "COUNT", count}
	if wait > 0 {
		args = append(args, "BLOCK", min(wait, r.wait).Milliseconds())
	}
	args = append(args, "STREAMS", mailbox)
	by := make(map[string]StreamRef, len(from))
	for _, p := range from {
		stream := r.c.keys.place(p)
		by[stream] = p
		args = append(args, stream)
	}
	for range len(from) + 1 {
		args = append(args, ">")
	}
	r.identify(ctx)
	read := once{redis.NewCmd(ctx, args...)}
	err = r.rdb.Process(ctx, read)
	r.c.saw(ctx, "wait for items", err)
	reply := read.Val()
	if errors.Is(err, redis.Nil) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("wait for items: %w", r.c.explained(err))
	}
	var seen []string
	for _, s := range asList(reply) {
		stream := asList(s)
		if at, ok := by[stream.text(0)]; ok {
			entries = append(entries, entriesOf(at, stream.list(1))...)
			continue
		}
		for i := range stream.list(1) {
			message := stream.list(1).list(i)
			seen = append(seen, message.text(0))
			m := message.list(1).fields()
			hints = append(hints, Hint{m["m"], m["w"]})
		}
	}
	if len(seen) > 0 { // lost without harm: what is said is a hint
		_, _ = r.c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.XAck(ctx, mailbox, "w", seen...)
			p.XDel(ctx, mailbox, seen...)
			return nil
		})
	}
	return entries, hints, nil
}

// A StreamRef is one of the streams of a queue.
type StreamRef struct {
	Queue string
	StreamKind
}

// A StreamKind is what a stream of a queue holds.
type StreamKind int

// The parts. What was delayed is read by nobody: it comes back when it is due.
const (
	Fresh    StreamKind = iota // what was added
	Returned                   // what came back, to be read first
	Suspect                    // what two workers died with, to be run one at a time
	delayed                    // what waits for its retry
)

// Held returns what a worker has read of a queue and not finished; the caller knows what
// of it is in its slots.
func (c *Client) Held(ctx context.Context, worker, queue string) (entries []Entry, err error) {
	for _, part := range []StreamKind{Returned, Fresh, Suspect} {
		held, err := c.pending(ctx, worker, StreamRef{queue, part})
		if part == Suspect && hasCode(err, "NOGROUP") { // there never was one
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, held...)
	}
	return entries, nil
}

// HeldBy returns what a gather has read of its queue and not acknowledged. It reads no
// other stream of the queue, since a read leaves the name of its consumer in the group.
func (c *Client) HeldBy(ctx context.Context, g Gather) ([]Entry, error) {
	return c.pending(ctx, g.ID, StreamRef{Queue: g.Queue.Name})
}

// pending returns the entries of a stream that are pending with a consumer.
func (c *Client) pending(ctx context.Context, consumer string, at StreamRef) (entries []Entry, err error) {
	var reply any
	err = c.try(ctx, "read what is held of queue "+at.Queue, func(ctx context.Context) (err error) {
		reply, err = c.rdb.Do(ctx, "XREADGROUP", "GROUP", "w", consumer, "STREAMS", c.keys.place(at), "0").Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	for i, held := range entriesOf(at, asList(reply).list(0).list(1)) {
		if len(asList(reply).list(0).list(1).list(i).list(1)) > 0 { // else it was deleted and only its pending mark is left
			entries = append(entries, held)
		}
	}
	return entries, nil
}

// Tell puts a hint into a mailbox, if it is there.
func (c *Client) Tell(ctx context.Context, mailbox string, h Hint) error {
	return c.try(ctx, "tell "+mailbox, func(ctx context.Context) error {
		return c.rdb.XAdd(ctx, &redis.XAddArgs{
			Stream: c.keys.mailbox(mailbox), NoMkStream: true, MaxLen: 1000, Values: []any{"m", h.Kind, "w", h.What},
		}).Err()
	})
}
