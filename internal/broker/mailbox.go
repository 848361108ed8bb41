package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A MailboxReader waits for the hints of one worker in all partitions, on one connection. A Reader that
// shares it reads hints there, and needs a connection of its own only to wait for entries.
type MailboxReader struct {
	c        *Client
	rdb      redis.UniversalClient
	conns    *connSet
	wait     time.Duration
	liveness *livenessConn
	attached chan struct{} // has a token after a Reader was attached

	mu      sync.Mutex
	readers map[string]*Reader // by the key of the mailbox
	covered []*Reader          // those that the blocked read waits for; nil: there is none
	woken   bool               // a hint ends that read
	running context.Context    //nolint:containedctx // of Run, for detach
}

const (
	mailboxHints = 1000                   // bound of a mailbox, and of the hints that a Reader has not read
	mailboxPause = 100 * time.Millisecond // after a failed read
	wakeLimit    = 500 * time.Millisecond // for the hint that ends a blocked read when a Reader is closed
	// endOfHints is the text of the hint that marks an end. It is no name of a queue.
	endOfHints = "/"
)

// A hintBox has the hints that arrived for one Reader.
type hintBox struct {
	hints  []Hint
	err    error         // of the last read
	rung   chan struct{} // has a token if there are hints or an error
	closed chan struct{} // closed by Interrupt
	once   sync.Once
}

// MailboxReader makes the MailboxReader of a worker, or returns nil if each partition needs a connection of its own:
// no command reads several slots of a Cluster. The caller calls Run.
func (c *Client) MailboxReader(wait time.Duration) *MailboxReader {
	if len(c.partitions) == 1 || c.target.options.IsClusterMode {
		return nil
	}
	m := &MailboxReader{c: c, wait: wait, liveness: new(livenessConn), attached: make(chan struct{}, 1), readers: map[string]*Reader{}}
	m.conns = newConnSet(m.liveness)
	m.rdb = c.dedicated(wait, m.conns)
	return m
}

// Run reads the mailboxes until ctx ends. Then no Reader may be open.
func (m *MailboxReader) Run(ctx context.Context) {
	defer m.rdb.Close()
	defer context.AfterFunc(ctx, m.conns.close)()
	for ctx.Err() == nil {
		readers := m.cover(ctx)
		if len(readers) == 0 {
			select {
			case <-ctx.Done():
			case <-m.attached:
			}
			continue
		}
		reply, err := m.read(ctx, readers)
		if err != nil && ctx.Err() == nil {
			m.fail(readers, err)
			Pause(ctx, mailboxPause)
			continue
		}
		m.deliver(ctx, readers, reply)
	}
}

// cover returns the Readers that the next read is for.
func (m *MailboxReader) cover(ctx context.Context) []*Reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.covered, m.woken, m.running = slices.Collect(maps.Values(m.readers)), false, ctx
	return m.covered
}

func (m *MailboxReader) read(ctx context.Context, readers []*Reader) (list, error) {
	args := []any{"XREADGROUP", "GROUP", "w", readers[0].consumer, "COUNT", mailboxHints, "BLOCK", m.wait.Milliseconds(), "NOACK", "STREAMS"}
	for _, r := range readers {
		args = append(args, r.mailbox())
	}
	for range readers {
		args = append(args, ">")
	}
	m.c.identify(ctx, m.rdb, m.liveness)
	cmd := once{redis.NewCmd(ctx, args...)}
	err := m.rdb.Process(ctx, cmd)
	m.c.observe(ctx, "wait for hints", err)
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return asList(cmd.Val()), err
}

// deliver gives hints to the Readers and deletes them.
func (m *MailboxReader) deliver(ctx context.Context, readers []*Reader, reply list) {
	if len(reply) == 0 {
		return
	}
	by := make(map[string]*Reader, len(readers))
	for _, r := range readers {
		by[r.mailbox()] = r
	}
	_, _ = m.c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // an error does no harm: these are hints
		for i := range reply {
			stream := reply.list(i)
			hints, seen := hintsOf(stream.list(1))
			p.XDel(ctx, stream.text(0), seen...)
			m.ring(by[stream.text(0)], hints, nil)
		}
		return nil
	})
}

// ring gives a Reader hints, or the error of a read.
func (m *MailboxReader) ring(r *Reader, hints []Hint, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.box.hints = append(r.box.hints, hints...); len(r.box.hints) > mailboxHints {
		r.box.hints = []Hint{{Kind: HintStages}} // which tells that anything may have changed
	}
	if err != nil {
		r.box.err = err
	}
	select {
	case r.box.rung <- struct{}{}:
	default:
	}
}

// fail gives the Readers the error of a read. A mailbox that is gone would let all further reads fail: its
// Reader is left out until it reads again.
func (m *MailboxReader) fail(readers []*Reader, err error) {
	if hasCode(err, "NOGROUP") || hasCode(err, "UNBLOCKED") {
		if gone := slices.DeleteFunc(slices.Clone(readers), func(r *Reader) bool { return !strings.Contains(err.Error(), r.mailbox()) }); len(gone) > 0 {
			readers = gone
		}
		m.mu.Lock()
		for _, r := range readers {
			delete(m.readers, r.mailbox())
		}
		m.mu.Unlock()
	}
	for _, r := range readers {
		m.ring(r, nil, fmt.Errorf("wait for hints: %w", m.c.withRemedy(err)))
	}
}

// attach lets the next read wait for the hints of a Reader too.
func (m *MailboxReader) attach(ctx context.Context, r *Reader) {
	m.mu.Lock()
	if m.readers[r.mailbox()] == r {
		m.mu.Unlock()
		return
	}
	m.readers[r.mailbox()] = r
	blocked := m.toWake()
	m.mu.Unlock()
	select {
	case m.attached <- struct{}{}:
	default:
	}
	m.wake(ctx, blocked)
}

// detach ends that. It takes no context, as Close takes none: wakeLimit bounds it.
func (m *MailboxReader) detach(r *Reader) {
	m.mu.Lock()
	var blocked *Reader
	if m.readers[r.mailbox()] == r {
		delete(m.readers, r.mailbox())
		if !slices.ContainsFunc(m.covered, m.isAttached) && slices.Contains(m.covered, r) && !m.woken {
			blocked, m.woken = r, true
		}
	}
	running := m.running
	m.mu.Unlock()
	if blocked == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), wakeLimit)
	defer cancel()
	m.wake(ctx, blocked)
}

func (m *MailboxReader) isAttached(r *Reader) bool { return m.readers[r.mailbox()] == r }

// toWake returns a Reader whose mailbox ends the blocked read, nil if the read ends without a hint. The
// caller holds the mutex.
func (m *MailboxReader) toWake() *Reader {
	if m.woken {
		return nil
	}
	for _, r := range m.covered {
		if m.isAttached(r) {
			m.woken = true
			return r
		}
	}
	return nil
}

// wake ends the blocked read by a hint. r may be nil.
func (m *MailboxReader) wake(ctx context.Context, r *Reader) {
	if r != nil {
		_ = r.c.SendHint(ctx, r.consumer, Hint{Kind: HintRoom}) // without it, the read ends when its time is over
	}
}

// readShared is Read for hints that the MailboxReader receives.
func (r *Reader) readShared(ctx context.Context, wait time.Duration) ([]Hint, error) {
	r.shared.attach(ctx, r)
	hints, err := r.arrived()
	if len(hints) > 0 || err != nil || wait == 0 {
		return hints, err
	}
	timer := time.NewTimer(min(wait, r.wait))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.box.closed:
	case <-timer.C:
	case <-r.box.rung:
	}
	return r.arrived()
}

// arrived takes the hints and the error of the last reads.
func (r *Reader) arrived() (hints []Hint, err error) {
	m := r.shared
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-r.box.rung:
	default:
	}
	hints, err = r.box.hints, r.box.err
	r.box.hints, r.box.err = nil, nil
	return hints, err
}

// Rest returns the hints that the mailbox has. Of a Reader that shares a MailboxReader, some may be on their way.
func (r *Reader) Rest(ctx context.Context) ([]Hint, error) {
	if r.shared == nil {
		_, hints, err := r.Read(ctx, nil, mailboxHints, 0)
		return hints, err
	}
	end := Hint{Kind: HintRoom, What: endOfHints}
	if err := r.c.SendHint(ctx, r.consumer, end); err != nil {
		return nil, err
	}
	var all []Hint
	for {
		hints, err := r.readShared(ctx, r.wait)
		if all = append(all, hints...); err != nil || ctx.Err() != nil || slices.Contains(hints, end) {
			return all, errors.Join(err, ctx.Err())
		}
	}
}

// Shared reports whether the Reader gets its hints from a MailboxReader: then it should not wait for entries.
func (r *Reader) Shared() bool { return r.shared != nil }

// EndIn lets the next blocked read end after wait, for which the caller has asked, and not up to a tenth of a
// second later: a Redis that gets no commands looks only that often for the ends of blocked reads (its
// setting hz). So EndIn sends it a command then. The caller calls stop when the read has ended.
func (r *Reader) EndIn(ctx context.Context, wait time.Duration) (stop func()) {
	if r.shared != nil {
		return func() {} // it has a timer of its own
	}
	sent := make(chan struct{})
	timer := time.AfterFunc(wait+time.Millisecond, func() {
		defer close(sent)
		_ = r.c.rdb.Exists(ctx, r.mailbox()).Err() // without it, the read ends later
	})
	return func() {
		if !timer.Stop() {
			<-sent
		}
	}
}
