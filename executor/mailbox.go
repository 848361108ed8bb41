package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	mailboxWait = 2 * time.Second // of a read of the mailbox; also how long a hint may be lost
	// resultTTL is how long a result waits for an executor that does not come.
	resultTTL = 10 * time.Minute
	// futuresRead is how many results are read at once.
	futuresRead = 1000
	maxKept     = 1 << 16
)

// A mailbox reads the mailbox of an Executor in one partition. It wakes senders that wait for room
// and calls that wait for the right to gather, and settles futures.
type mailbox struct {
	c   *broker.Client
	id  string
	log *slog.Logger

	mu       sync.Mutex
	senders  map[chan struct{}]struct{}
	futures  map[string]*result                    // by id, those without a result
	standbys map[string]map[chan struct{}]struct{} // calls that wait for the right to gather, by queue
	kept     []string                              // payloads that elements of queues refer to
}

// A result is the value that a future waits for.
type result struct {
	id    string
	of    *submitter    // sends its item
	sent  bool          // the item was sent; the lock of the mailbox guards it
	done  chan struct{} // closed when frame is set
	frame []byte
}

func newMailbox(c *broker.Client, id string, log *slog.Logger) *mailbox {
	return &mailbox{
		c: c, id: id, log: log,
		senders: map[chan struct{}]struct{}{}, futures: map[string]*result{}, standbys: map[string]map[chan struct{}]struct{}{},
	}
}

// addSender returns a channel that gets a token when a queue may have room, until removeSender is
// called.
func (m *mailbox) addSender() chan struct{} {
	wake := make(chan struct{}, 1)
	m.mu.Lock()
	m.senders[wake] = struct{}{}
	m.mu.Unlock()
	return wake
}

func (m *mailbox) removeSender(wake chan struct{}) {
	m.mu.Lock()
	delete(m.senders, wake)
	m.mu.Unlock()
}

// expect makes futures of offsets of a source, before anything is sent.
func (m *mailbox) expect(of *submitter, source string, first int64, n int) []*result {
	of.users.Add(int64(n))
	results := make([]*result, n)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range results {
		r := &result{id: broker.FutureID(source, first+int64(i)), of: of, done: make(chan struct{})}
		m.futures[r.id] = r
		results[i] = r
	}
	return results
}

// keep notes a payload that Close has to delete. If there are too many, the oldest are left to
// their expiry.
func (m *mailbox) keep(id string) {
	m.mu.Lock()
	m.kept = append(m.kept, id)
	if len(m.kept) > maxKept {
		m.kept = slices.Clone(m.kept[maxKept/2:])
	}
	m.mu.Unlock()
}

// listen reads the mailbox until ctx ends, and closes the reader.
func (m *mailbox) listen(ctx context.Context, reader *broker.Reader) {
	stop := context.AfterFunc(ctx, reader.Interrupt)
	defer func() { //nolint:contextcheck // Close takes none
		stop()
		_ = reader.Close()
	}()
	after, denied := "0-0", false
	for ctx.Err() == nil {
		hints, last, err := reader.Hints(ctx, after)
		after = last
		if err == nil {
			err = m.handleHints(ctx, hints)
		}
		if err == nil && len(hints) == 0 {
			err = m.failLost(ctx)
		}
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, broker.ErrDenied) && !denied {
				m.log.ErrorContext(ctx, "the mailbox cannot be read", "err", err)
				denied = true
			}
			m.log.DebugContext(ctx, "mailbox", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// handleHints wakes the calls and fetches the results that hints name.
func (m *mailbox) handleHints(ctx context.Context, hints []broker.Hint) error {
	if slices.ContainsFunc(hints, func(hint broker.Hint) bool { return hint.Kind == broker.HintRoom }) {
		m.wakeSenders()
	}
	for _, hint := range hints {
		if hint.Kind == broker.HintFree {
			m.wakeStandbys(hint.What)
		}
	}
	for part := range slices.Chunk(m.hintedFutures(hints), futuresRead) {
		if err := m.fetch(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// hintedFutures returns the ids of the futures that hints name. It returns all ids without a hint,
// since hints may be lost, and if hints claim more results than there are futures: so no number in
// a hint makes it cost more.
func (m *mailbox) hintedFutures(hints []broker.Hint) (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	claimed := int64(0)
	for _, hint := range hints {
		var source string
		var first, n int64
		if hint.Kind != broker.HintDone {
			continue
		}
		if _, err := fmt.Sscan(hint.What, &source, &first, &n); err != nil {
			continue
		}
		if n > int64(len(m.futures))-claimed {
			return slices.Sorted(maps.Keys(m.futures))
		}
		for i := range n {
			if id := broker.FutureID(source, first+i); m.futures[id] != nil {
				ids = append(ids, id)
			}
		}
		claimed += max(n, 0)
	}
	if len(hints) == 0 {
		return slices.Sorted(maps.Keys(m.futures))
	}
	return ids
}

// wakeSenders wakes the senders that wait for room.
func (m *mailbox) wakeSenders() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for wake := range m.senders {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// fetch reads results and deletes them in Redis.
func (m *mailbox) fetch(ctx context.Context, ids []string) error {
	frames, err := m.c.Futures(ctx, ids)
	if err != nil {
		return err
	}
	var got []string
	m.mu.Lock()
	for i, frame := range frames {
		r := m.futures[ids[i]]
		if frame == nil || r == nil {
			continue
		}
		r.frame = frame
		close(r.done)
		m.remove(r)
		got = append(got, ids[i])
	}
	m.mu.Unlock()
	if got == nil {
		return nil
	}
	return m.c.DropFutures(ctx, got)
}

// settle gives a future its result.
func (m *mailbox) settle(id string, frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.futures[id]; r != nil {
		r.frame = frame
		close(r.done)
		m.remove(r)
	}
}

// remove forgets a future that waits for no result any more.
func (m *mailbox) remove(r *result) {
	delete(m.futures, r.id)
	r.of.users.Add(-1)
}

// dropFutures deletes the results that no call will wait for.
func (m *mailbox) dropFutures(ctx context.Context) error {
	m.mu.Lock()
	ids := append(slices.Sorted(maps.Keys(m.futures)), m.kept...)
	m.mu.Unlock()
	for part := range slices.Chunk(ids, futuresRead) {
		if err := m.c.DropFutures(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// markSent notes that the items of results are in Redis.
func (m *mailbox) markSent(results []*result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range results {
		r.sent = true
	}
}

// unexpect forgets results whose futures were not returned to a caller.
func (m *mailbox) unexpect(results []*result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range results {
		if m.futures[r.id] == r {
			m.remove(r)
		}
	}
}

// sentIDs returns the ids of the futures whose items were sent, by their submitter.
func (m *mailbox) sentIDs() map[*submitter][]string {
	ids := map[*submitter][]string{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.futures {
		if r.sent {
			ids[r.of] = append(ids[r.of], id)
		}
	}
	return ids
}

// failLost fails the futures whose item and whose result are no longer in Redis: this process did
// not read results for longer than Redis keeps them, or Redis has lost them.
func (m *mailbox) failLost(ctx context.Context) error {
	for of, ids := range m.sentIDs() {
		busy, err := m.hasEntries(ctx, of.queues)
		if err != nil {
			return err
		}
		if busy {
			continue
		}
		var b batch.Builder
		why := "neither its result nor its item is in Redis any more"
		if err := m.c.Lost(ctx, of.sender.Source().Queue, ErrQueueNotFound); errors.Is(err, ErrLost) {
			why = err.Error()
		}
		b.Failure(batch.Failure{Code: batch.CodeLost, Message: why, Stage: of.queues[len(of.queues)-1]})
		lost := b.Take()
		for part := range slices.Chunk(ids, futuresRead) {
			if err := m.fetch(ctx, part); err != nil { // a result is set before its item goes
				return err
			}
			for _, id := range part {
				m.settle(id, lost)
			}
		}
	}
	return nil
}

// hasEntries reports whether one of the queues of a submitter has an entry. An entry that moves on
// meanwhile is found further down, since upstream queues come first. If one queue is gone, so are the
// stages around it, and hasEntries deletes the others: the next call of the submitter makes new ones.
func (m *mailbox) hasEntries(ctx context.Context, queues []string) (found bool, err error) {
	for _, queue := range queues {
		backlog, err := m.c.Waiting(ctx, queue)
		if broker.IsGone(err) {
			return false, m.c.DeleteAll(ctx, queues)
		}
		if err != nil {
			return false, err
		}
		found = found || backlog.Entries > 0
	}
	return found, nil
}
