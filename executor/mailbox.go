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

// mailbox reads the mailbox of an Executor and tells who waits: senders for room,
// futures for results.
type mailbox struct {
	c   *broker.Client
	id  string
	log *slog.Logger

	closed chan struct{} // by Close

	mu      sync.Mutex
	senders map[chan struct{}]struct{}
	futures map[string]*result // by id, those without a result
	// standbys are the calls that wait for the right to gather, by queue.
	standbys map[string]map[chan struct{}]struct{}
	kept     []string // payloads that elements of queues refer to
}

// A result is the value that a future waits for.
type result struct {
	id    string
	of    *submitter    // that has sent its item
	sent  bool          // it was; the lock of the mailbox guards it
	done  chan struct{} // closed when frame is there
	frame []byte
}

func newMailbox(c *broker.Client, id string, log *slog.Logger) *mailbox {
	return &mailbox{c: c, id: id, log: log, closed: make(chan struct{}), senders: map[chan struct{}]struct{}{}, futures: map[string]*result{}, standbys: map[string]map[chan struct{}]struct{}{}}
}

// sender returns a channel that hears of room; give it back.
func (h *mailbox) sender() chan struct{} {
	wake := make(chan struct{}, 1)
	h.mu.Lock()
	h.senders[wake] = struct{}{}
	h.mu.Unlock()
	return wake
}

func (h *mailbox) giveBack(wake chan struct{}) {
	h.mu.Lock()
	delete(h.senders, wake)
	h.mu.Unlock()
}

// expect makes futures of offsets of a source, before anything is sent.
func (h *mailbox) expect(of *submitter, source string, first int64, n int) []*result {
	of.users.Add(int64(n))
	results := make([]*result, n)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range results {
		r := &result{id: broker.FutureID(source, first+int64(i)), of: of, done: make(chan struct{})}
		h.futures[r.id] = r
		results[i] = r
	}
	return results
}

// keep takes note of a payload that Close has to delete; the oldest of many go
// when their time is over.
func (h *mailbox) keep(id string) {
	h.mu.Lock()
	h.kept = append(h.kept, id)
	if len(h.kept) > maxKept {
		h.kept = slices.Clone(h.kept[maxKept/2:])
	}
	h.mu.Unlock()
}

// listen reads the mailbox until ctx ends, and closes the reader.
func (h *mailbox) listen(ctx context.Context, reader *broker.Reader) {
	stop := context.AfterFunc(ctx, reader.Interrupt)
	defer func() {
		stop()
		_ = reader.Close()
	}()
	after, denied := "0-0", false
	for ctx.Err() == nil {
		hints, last, err := reader.Hints(ctx, after)
		after = last
		if err == nil {
			err = h.hear(ctx, hints)
		}
		if err == nil && len(hints) == 0 {
			err = h.vanished(ctx)
		}
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, broker.ErrDenied) && !denied {
				h.log.ErrorContext(ctx, "the mailbox cannot be read", "err", err)
				denied = true
			}
			h.log.DebugContext(ctx, "mailbox", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

func (h *mailbox) hear(ctx context.Context, hints []broker.Hint) error {
	if slices.ContainsFunc(hints, func(hint broker.Hint) bool { return hint.Kind == broker.HintRoom }) {
		h.room()
	}
	for _, hint := range hints {
		if hint.Kind == broker.HintFree {
			h.free(hint.What)
		}
	}
	for part := range slices.Chunk(h.named(hints), futuresRead) {
		if err := h.fetch(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// named are the ids of the futures that hints tell of. Where they claim more
// results than anybody waits for, and where there are none, since hints may be
// lost, they are all: so whatever number a hint has, it costs no more.
func (h *mailbox) named(hints []broker.Hint) (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
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
		if n > int64(len(h.futures))-claimed {
			return slices.Sorted(maps.Keys(h.futures))
		}
		for i := range n {
			if id := broker.FutureID(source, first+i); h.futures[id] != nil {
				ids = append(ids, id)
			}
		}
		claimed += max(n, 0)
	}
	if len(hints) == 0 {
		return slices.Sorted(maps.Keys(h.futures))
	}
	return ids
}

func (h *mailbox) room() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for wake := range h.senders {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// fetch reads results and deletes them in Redis.
func (h *mailbox) fetch(ctx context.Context, ids []string) error {
	frames, err := h.c.Futures(ctx, ids)
	if err != nil {
		return err
	}
	var got []string
	h.mu.Lock()
	for i, frame := range frames {
		r := h.futures[ids[i]]
		if frame == nil || r == nil {
			continue
		}
		r.frame = frame
		close(r.done)
		h.remove(r)
		got = append(got, ids[i])
	}
	h.mu.Unlock()
	if got == nil {
		return nil
	}
	return h.c.DropFutures(ctx, got)
}

// settle gives a future its result.
func (h *mailbox) settle(id string, frame []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.futures[id]; r != nil {
		r.frame = frame
		close(r.done)
		h.remove(r)
	}
}

// remove forgets a future that expects no result.
func (h *mailbox) remove(r *result) {
	delete(h.futures, r.id)
	r.of.users.Add(-1)
}

// forget deletes the results that no call will wait for.
func (h *mailbox) forget(ctx context.Context) error {
	h.mu.Lock()
	ids := append(slices.Sorted(maps.Keys(h.futures)), h.kept...)
	h.mu.Unlock()
	for part := range slices.Chunk(ids, futuresRead) {
		if err := h.c.DropFutures(ctx, part); err != nil {
			return err
		}
	}
	return nil
}
