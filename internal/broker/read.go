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

// A Hint is a message of a mailbox: the state of an object may have changed. Hints may be lost.
type Hint struct{ Kind, What string }

// The kinds of hints.
const (
	HintStages  = "stages"  // a stage was added or removed
	HintReady   = "ready"   // a queue has unread entries, see ReadyQueue
	HintRoom    = "room"    // a full queue has room again
	HintEnd     = "end"     // a source has ended
	HintSource  = "source"  // a source has joined
	HintGone    = "gone"    // a queue is being deleted
	HintFree    = "free"    // a queue has lost its gather
	HintDone    = "done"    // futures have results
	HintVersion = "version" // another worker has joined with a different version of a function
	HintSuccess = "success" // another worker has succeeded with an item that failed here
	HintCancel  = "cancel"  // a future was canceled
	HintStop    = "stop"    // an operator cancels a running item: source and offset
	HintAbandon = "abandon" // the same; if the function does not return, its slot goes on without it
	HintDrain   = "drain"   // an operator lets the worker take no more
	HintWork    = "work"    // an operator lets it take items again
)

// A Route is a stage as a worker reads it: its in-queue and its out-queues.
type Route struct {
	In   string
	Outs []string
	// Most is the number of items of an entry that the worker runs, for a stage with a rate: it cuts
	// larger entries first. 0: any number.
	Most int
	// Calls is the number of calls that the worker holds, for a stage with batches.
	Calls int
}

// A Taken is the result of Take for one route.
type Taken struct {
	Entries []Entry // requeued entries, then new ones, then at most one suspect
	Full    bool    // an out-queue is full; the mailbox gets HintRoom when it has room
	Waits   bool    // set with Full: the in-queue has entries
	Beyond  bool    // the next entry is beyond the window of its source; the mailbox gets HintRoom when the window moves
	Left    bool    // the queue is ready for workers that wait for rings
	Sick    bool    // a queue is gone, or one of its keys has another type
	Held    bool    // a limit of the stage holds further entries; the mailbox gets HintRoom, or Wait is set
	// Wait is the time until the worker asks again for a queue that is held; 0: it waits for a hint.
	Wait time.Duration
	// Cut is the number of items of the first part into which the worker cuts the entries of a stage
	// with batches. 0: the entries are one call.
	Cut int
}

// Take reads at most budget entries, over the routes in their order and without waiting. Of each
// route it reads requeued entries first. suspects is the largest number of suspect entries of all
// routes together.
//
// Take does not retry. If its reply is lost, the entries stay pending with the consumer, see Held.
func (c *Client) Take(ctx context.Context, consumer string, budget, suspects int, routes []Route) ([]Taken, error) {
	var keys []string
	args := []any{consumer, budget, c.keys.mailbox(consumer), suspects, c.keys.prefix}
	for _, r := range routes {
		keys = append(keys, c.keys.returns(r.In), c.keys.stream(r.In), c.keys.meta(r.In), c.keys.wait(r.In), c.keys.suspects(r.In))
		for _, out := range r.Outs {
			keys = append(keys, c.keys.stream(out), c.keys.meta(out), c.keys.wait(out))
		}
		args = append(args, r.In, len(r.Outs), r.Most, r.Calls)
	}
	reply, err := scripts.take.Run(ctx, onlyOnce{c.rdb}, keys, args...).Result()
	c.observe(ctx, "take from queues", err)
	if err != nil {
		return nil, fmt.Errorf("take from queues: %w", c.withRemedy(err))
	}
	taken := make([]Taken, len(routes))
	for i := range taken {
		l := asList(reply).list(i)
		for part, at := range []StreamKind{Returned, Fresh, Suspect} {
			taken[i].Entries = append(taken[i].Entries, entriesOf(StreamRef{routes[i].In, at}, l.list(1+part))...)
		}
		taken[i].Full, taken[i].Sick = l.text(0) == "full", l.text(0) == "sick"
		taken[i].Beyond = l.text(0) == "window"
		taken[i].Waits, taken[i].Left = l.number(5) > 0, l.number(6) > 0
		taken[i].Held, taken[i].Wait = l.text(0) == "held", time.Duration(l.number(7))*time.Millisecond
		taken[i].Cut = int(l.number(8))
	}
	return taken, nil
}

// A Reader waits for entries and hints on a connection of its own, or for hints of a MailboxReader. The name of
// its consumer is also that of its mailbox. One goroutine uses it; another one may call Interrupt to end a
// blocked Read.
type Reader struct {
	c        *Client
	rdb      redis.UniversalClient // nil with shared
	consumer string
	wait     time.Duration
	conns    *connSet
	seen     []string       // hints that were read and are still in the mailbox
	shared   *MailboxReader // nil: none
	box      hintBox        // with shared
}

// gatherBuffer is the size in bytes of each buffer of a gather's reader. It receives entries, not
// payloads, and a process may have thousands of readers: with the default of 32 KiB, the buffers
// would take two thirds of the memory of an idle flow.
const gatherBuffer = 4 << 10

// Reader makes the Reader of a gather. Its Read blocks for at most wait. The caller closes it.
func (c *Client) Reader(consumer string, wait time.Duration) *Reader {
	return c.reader(consumer, wait, nil)
}

func (c *Client) reader(consumer string, wait time.Duration, s *livenessConn) *Reader {
	conns := newConnSet(s)
	return &Reader{c: c, rdb: c.dedicated(wait, conns), consumer: consumer, wait: wait, conns: conns}
}

// dedicated returns a client with one connection, which d tracks. A read on it may block for wait.
func (c *Client) dedicated(wait time.Duration, d *connSet) redis.UniversalClient {
	options := c.target.universal(wait)
	next := dialerOf(options)
	if d.liveness == nil {
		options.ReadBufferSize, options.WriteBufferSize = gatherBuffer, gatherBuffer
	}
	options.Dialer = dialLate(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return d.keep(conn)
	})
	return c.target.connect(options, func(ctx context.Context) ([]redis.ClusterSlot, error) { // it needs no connection to other nodes
		return c.rdb.ClusterSlots(ctx).Result()
	})
}

// mailbox returns the key of the mailbox.
func (r *Reader) mailbox() string { return r.c.keys.mailbox(r.consumer) }

// Interrupt ends a blocked Read. No Read may follow.
func (r *Reader) Interrupt() {
	r.conns.close()
	if r.box.closed != nil {
		r.box.once.Do(func() { close(r.box.closed) })
	}
}

// Close closes the connection. No Read may be running.
func (r *Reader) Close() error {
	if r.shared != nil {
		r.shared.detach(r)
		return nil
	}
	return r.rdb.Close()
}

// connSet tracks the open connections of one go-redis client. A context does not end a blocked
// read, and go-redis writes to stderr if it is closed during one, so Interrupt closes the
// connections below it.
type connSet struct {
	liveness *livenessConn // liveness connection of the process, nil for a gather

	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	closed bool
}

func newConnSet(s *livenessConn) *connSet {
	return &connSet{conns: map[*trackedConn]struct{}{}, liveness: s}
}

// A trackedConn is one connection of a connSet.
type trackedConn struct {
	net.Conn
	set *connSet
}

// Close closes the connection once; further calls return nil.
func (l *trackedConn) Close() error {
	l.set.mu.Lock()
	_, open := l.set.conns[l]
	delete(l.set.conns, l)
	l.set.mu.Unlock()
	if !open {
		return nil
	}
	l.set.liveness.reset()
	return l.Conn.Close()
}

func (d *connSet) keep(conn net.Conn) (net.Conn, error) {
	l := &trackedConn{conn, d}
	d.liveness.reset()
	d.mu.Lock()
	d.conns[l] = struct{}{}
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, errors.Join(net.ErrClosed, l.Close())
	}
	return l, nil
}

func (d *connSet) close() {
	d.mu.Lock()
	d.closed = true
	conns := slices.Collect(maps.Keys(d.conns))
	d.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // the bytes left in it have no reader
	}
}

// Read waits until one of the streams has an unread entry or the mailbox has a hint. It waits for
// at most wait, and not at all if wait is 0. It returns at most count entries of each stream. After
// an error, entries may be pending with the consumer, see Held.
func (r *Reader) Read(ctx context.Context, from []StreamRef, count int, wait time.Duration) (entries []Entry, hints []Hint, err error) {
	if r.shared != nil && len(from) == 0 {
		hints, err = r.readShared(ctx, wait)
		return nil, hints, err
	}
	if r.shared != nil { // this connection serves both from now on
		r.shared.detach(r) //nolint:contextcheck // its own bound is enough
		r.shared, r.rdb = nil, r.c.dedicated(r.wait, r.conns)
	}
	mailbox := r.mailbox()
	args := []any{"XREADGROUP", "GROUP", "w", r.consumer, "COUNT", count}
	if wait > 0 {
		args = append(args, "BLOCK", min(wait, r.wait).Milliseconds())
	}
	sending := ctx
	if wait < r.wait { // the timeout of the connection is for the longest wait
		var cancel context.CancelFunc
		sending, cancel = context.WithTimeout(ctx, wait+replyTimeout)
		defer cancel()
	}
	args = append(args, "STREAMS", mailbox)
	by := make(map[string]StreamRef, len(from))
	for _, p := range from {
		stream := r.c.keys.streamOf(p)
		by[stream] = p
		args = append(args, stream)
	}
	for range len(from) + 1 {
		args = append(args, ">")
	}
	r.c.identify(ctx, r.rdb, r.conns.liveness)
	read := once{redis.NewCmd(sending, args...)}
	err = r.rdb.Process(sending, read)
	r.observe(ctx, "wait for items", err)
	reply := read.Val()
	if errors.Is(err, redis.Nil) {
		if wait > 0 {
			r.acknowledgeHints(ctx, 1)
		}
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("wait for items: %w", r.c.withRemedy(err))
	}
	for _, s := range asList(reply) {
		stream := asList(s)
		if at, ok := by[stream.text(0)]; ok {
			entries = append(entries, entriesOf(at, stream.list(1))...)
			continue
		}
		read, ids := hintsOf(stream.list(1))
		hints, r.seen = append(hints, read...), append(r.seen, ids...)
	}
	r.acknowledgeHints(ctx, seenHints)
	return entries, hints, nil
}

// seenHints is the number of hints that are acknowledged together. A mailbox is deleted with its owner,
// and is trimmed, so that hints which are not acknowledged do no harm.
const seenHints = 64

// acknowledgeHints deletes the hints that were read from the mailbox, if they are at least some.
func (r *Reader) acknowledgeHints(ctx context.Context, least int) {
	if len(r.seen) < least {
		return
	}
	seen, mailbox := r.seen, r.c.keys.mailbox(r.consumer)
	r.seen = nil
	_, _ = r.c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // an error does no harm
		p.XAck(ctx, mailbox, "w", seen...)
		p.XDel(ctx, mailbox, seen...)
		return nil
	})
}

// hintsOf returns the hints of messages of a mailbox, and their ids.
func hintsOf(messages list) (hints []Hint, ids []string) {
	for i := range messages {
		message := messages.list(i)
		m := message.list(1).fields()
		hints, ids = append(hints, Hint{m["m"], m["w"]}), append(ids, message.text(0))
	}
	return hints, ids
}

// observe is Client.observe for the client of the Reader.
func (r *Reader) observe(ctx context.Context, verb string, err error) {
	r.c.observe(ctx, verb, err)
	if err != nil && r.c.isTransient(err) {
		reload(ctx, r.rdb)
	}
}

// A StreamRef is one of the streams of a queue.
type StreamRef struct {
	Queue string
	Kind  StreamKind
}

// A StreamKind says which entries a stream of a queue holds.
type StreamKind int

// The kinds of streams. No reader reads delayed entries; requeue_due.lua requeues them when they
// are due.
const (
	Fresh    StreamKind = iota // new entries
	Returned                   // requeued entries, which are read first
	Suspect                    // entries with which two workers have died; a worker runs one at a time
	delayed                    // entries that wait for a retry
)

// Held returns the entries of a queue that are pending with a worker. The caller knows which of
// them are in its slots.
func (c *Client) Held(ctx context.Context, worker, queue string) (entries []Entry, err error) {
	for _, part := range []StreamKind{Returned, Fresh, Suspect} {
		held, err := c.pending(ctx, worker, StreamRef{queue, part})
		if part == Suspect && hasCode(err, "NOGROUP") { // the queue never had a suspect
			continue
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, held...)
	}
	return entries, nil
}

// HeldBy returns the entries of a queue that are pending with its gather. It reads only the stream
// of new entries, since each read leaves the name of the consumer in the stream's group.
func (c *Client) HeldBy(ctx context.Context, g Gather) ([]Entry, error) {
	return c.pending(ctx, g.ID, StreamRef{Queue: g.Queue.Name})
}

// pending returns the entries of a stream that are pending with a consumer.
func (c *Client) pending(ctx context.Context, consumer string, at StreamRef) (entries []Entry, err error) {
	var reply any
	err = c.try(ctx, "read the pending entries of queue "+at.Queue, func(ctx context.Context) (err error) {
		reply, err = c.rdb.Do(ctx, "XREADGROUP", "GROUP", "w", consumer, "STREAMS", c.keys.streamOf(at), "0").Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	for i, held := range entriesOf(at, asList(reply).list(0).list(1)) {
		if len(asList(reply).list(0).list(1).list(i).list(1)) > 0 { // otherwise the entry is deleted and only its pending record is left
			entries = append(entries, held)
		}
	}
	return entries, nil
}

// SendHint adds a hint to a mailbox, if the mailbox exists.
func (c *Client) SendHint(ctx context.Context, mailbox string, h Hint) error {
	return c.try(ctx, "send a hint to "+mailbox, func(ctx context.Context) error {
		err := c.rdb.XAdd(ctx, &redis.XAddArgs{
			Stream: c.keys.mailbox(mailbox), NoMkStream: true, MaxLen: 1000, Values: []any{"m", h.Kind, "w", h.What},
		}).Err()
		if isFull(err) {
			err = scripts.hint.Run(ctx, c.rdb, []string{c.keys.mailbox(mailbox)}, h.Kind, h.What, 0).Err()
		}
		return err
	})
}
