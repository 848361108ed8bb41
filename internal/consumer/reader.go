package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	readWait     = 2 * time.Second // longest wait of a blocked read
	readBytes    = 8 << 20         // target size of one read
	firstEntries = 16              // number of entries of the first read
	maxEntries   = 256             // most entries of one read
	retryPause   = 100 * time.Millisecond
)

// A reader reads the entries of a queue and the hints for its gather. It returns each entry once.
// Most reads are blocking reads of new entries. If a reply may be lost, the next read returns the
// entries that Redis holds for this gather instead. A reply may be lost if reread is set, or if
// calls of the client have failed.
type reader struct {
	client *broker.Client
	conn   *broker.Reader
	gather broker.Gather
	log    *slog.Logger

	count    int             // entries of the next read
	returned map[string]bool // ids of the entries that were returned
	reread   bool            // read the held entries next
	failures int64           // failed calls of the client at the last read of held entries
}

// A reading is the result of one read.
type reading struct {
	outcome readOutcome
	entries []broker.Entry
	refresh refresh // the sources that have to be read as a consequence
}

// A readOutcome is the kind of a reading:
//
//	outcome     condition                         sources to refresh  next read
//	readFailed  the read has failed               changed ones        held entries, after a pause
//	readNew     entries or hints have arrived     as the hints say    new entries
//	readIdle    neither has arrived in time       none                new entries
//	readHeld    an earlier reply may be lost      all                 new entries
type readOutcome int

const (
	readFailed readOutcome = iota
	readNew
	readIdle
	readHeld
)

func newReader(c *broker.Client, g broker.Gather, log *slog.Logger) *reader {
	return &reader{
		client: c, conn: c.Reader(g.ID, c.Patience(readWait)), gather: g, log: log, count: firstEntries, returned: map[string]bool{},
	}
}

// next waits for entries and hints, at most for wait. An error ends the stream.
func (r *reader) next(ctx context.Context, wait time.Duration) (reading, error) {
	if failures := r.client.Failures(); r.reread || failures != r.failures {
		entries, err := r.client.HeldBy(ctx, r.gather)
		r.reread, r.failures = false, failures
		return reading{readHeld, entries, refreshAll}, err // hints may be lost too, and the last state of the sources
	}
	entries, hints, err := r.conn.Read(ctx, r.stream(), r.count, wait)
	if ctx.Err() != nil {
		return reading{}, context.Cause(ctx)
	}
	if err != nil {
		return reading{outcome: readFailed, refresh: refreshChanged}, r.recover(ctx, err)
	}
	got := reading{outcome: readNew, entries: entries}
	if len(entries)+len(hints) == 0 {
		got.outcome = readIdle
	}
	for _, h := range hints {
		switch {
		case h.Kind == broker.HintGone && h.What == r.gather.Queue.Name:
			return reading{}, fmt.Errorf("gather queue %s: %w: it was deleted", r.gather.Queue.Name, broker.ErrQueueNotFound)
		case h.Kind == broker.HintEnd || h.Kind == broker.HintSource:
			got.refresh = refreshChanged
		}
	}
	return got, nil
}

// available returns entries that can be read without waiting.
func (r *reader) available(ctx context.Context) ([]broker.Entry, error) {
	entries, _, err := r.conn.Read(ctx, r.stream(), r.count, 0)
	return entries, err
}

func (r *reader) stream() []broker.StreamRef {
	return []broker.StreamRef{{Queue: r.gather.Queue.Name}}
}

// recover handles a failed read. It returns nil, after a pause, if the queue still exists and the
// reason can pass.
func (r *reader) recover(ctx context.Context, failed error) error {
	r.reread = true
	q, err := r.client.Look(ctx, r.gather.Queue.Name)
	if err == nil && q.Inc != r.gather.Queue.Inc {
		err = fmt.Errorf("gather queue %s: %w: another queue has its name now", q.Name, broker.ErrQueueNotFound)
	}
	if err != nil {
		return r.client.Lost(ctx, r.gather.Queue, err)
	}
	if errors.Is(failed, broker.ErrDenied) || strings.Contains(failed.Error(), "WRONGTYPE") {
		return failed
	}
	if err := r.client.Mailbox(ctx, r.gather.ID); err != nil {
		return err
	}
	r.log.DebugContext(ctx, "queue read failed; it is repeated", "queue", q.Name, "err", failed)
	broker.Pause(ctx, retryPause)
	return nil
}

// unseen returns the entries that were not returned before. deleted are the ids of entries that
// were acknowledged: if such an entry is read again, its acknowledgement was lost, and the entry
// counts as new.
func (r *reader) unseen(entries []broker.Entry, deleted []string) []broker.Entry {
	r.forget(deleted...)
	fresh := entries[:0]
	for _, e := range entries {
		if !r.returned[e.ID] {
			r.returned[e.ID] = true
			fresh = append(fresh, e)
		}
	}
	return fresh
}

// forget removes entries from those that were returned.
func (r *reader) forget(ids ...string) {
	for _, id := range ids {
		delete(r.returned, id)
	}
}

// adapt sets the number of entries of the next read, so that it has about readBytes.
func (r *reader) adapt(entries []broker.Entry) {
	bytes := 0
	for _, e := range entries {
		bytes += len(e.Frame)
	}
	switch {
	case bytes > readBytes:
		r.count = max(1, r.count/2)
	case len(entries) == r.count:
		r.count = min(2*r.count, maxEntries)
	}
}

// interrupt ends a read that waits.
func (r *reader) interrupt() { r.conn.Interrupt() }

// close ends the connection. No read may be in progress.
func (r *reader) close() { _ = r.conn.Close() }
