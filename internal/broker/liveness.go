package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// confirmAfter is the time between the first look that misses a connection and the second one,
// which decides.
const confirmAfter = time.Second

// A livenessConn is the connection on which a process waits for hints. The kernel closes it at once
// when the process dies, and Redis notices. A process that is only stopped keeps it.
//
// The leases of a worker in several partitions may share it.
type livenessConn struct {
	mu    sync.Mutex
	heard []chan struct{}       // of the leases; each receives a value when the id changes
	node  redis.UniversalClient // server that was asked for the id
	id    string                // client id that Redis gave to the connection; "": not known
	since time.Time
}

// reset records that a connection was opened or closed.
func (s *livenessConn) reset() {
	if s == nil { // the reader of a gather has none
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.id = nil, ""
}

func (s *livenessConn) set(node redis.UniversalClient, id string) {
	s.mu.Lock()
	s.node, s.id, s.since = node, id, time.Now()
	heard := slices.Clone(s.heard)
	s.mu.Unlock()
	for _, changed := range heard {
		if id == "" {
			break
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// tell makes a channel receive a value when the id changes, until forget is called.
func (s *livenessConn) tell(changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, changed)
}

func (s *livenessConn) forget(changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = slices.DeleteFunc(s.heard, func(c chan struct{}) bool { return c == changed })
}

func (s *livenessConn) get() (node redis.UniversalClient, id string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node, s.id, s.since
}

// Reader returns the Reader of the process' mailbox. Its connection is the liveness connection. The
// caller closes it.
func (l *Lease) Reader(wait time.Duration) *Reader { return l.c.reader(l.id, wait, l.liveness) }

// SharedReader is Reader for a mailbox that a MailboxReader reads. Its connection is the liveness connection.
// m may be nil.
func (l *Lease) SharedReader(wait time.Duration, m *MailboxReader) *Reader {
	if m == nil {
		return l.Reader(wait)
	}
	l.liveness.forget(l.changed)
	l.liveness = m.liveness
	l.liveness.tell(l.changed)
	return &Reader{
		c: l.c, consumer: l.id, wait: wait, conns: newConnSet(nil),
		shared: m, box: hintBox{rung: make(chan struct{}, 1), closed: make(chan struct{})},
	}
}

// identify reads the client id of the connection that the next read waits on. If the server or the
// permissions do not allow that, it does not ask again, and only the lease counts. s may be nil.
func (c *Client) identify(ctx context.Context, rdb redis.UniversalClient, s *livenessConn) {
	if s == nil {
		return
	}
	node, err := masterOf(ctx, rdb, c.keys)
	if err != nil {
		return
	}
	if asked, _, _ := s.get(); asked == node {
		return
	}
	id, err := node.ClientID(ctx).Result()
	switch {
	case err == nil:
		s.set(node, fmt.Sprint(id))
	case !c.isTransient(err) && ctx.Err() == nil:
		s.set(node, "")
	}
}

// A staleProcess is a process that may be dead.
type staleProcess struct {
	role Role
	id   string
	beat string        // last heartbeat
	age  time.Duration // of the heartbeat, by the clock of Redis
	seen *observation
}

// mark returns its field in the fenced hash, which is also the key of its card without the prefix.
func (s staleProcess) mark() string { return string(s.role[0]) + ":" + s.id }

// disconnected looks for the connections of late processes. It returns the processes that have none
// in two looks and have sent no heartbeat in between.
//
// It judges a process only if its last heartbeat came after the last outage and while this process
// had the same connection as now. After a restart of Redis, on another server or in an outage, the
// other processes may only need longer to reconnect, and keep their whole lease. So an old
// heartbeat after an outage, or after a clock jump, ends no process.
func (l *Lease) disconnected(ctx context.Context, late []staleProcess, began time.Time) (dead []staleProcess, err error) {
	_, own, since := l.liveness.get()
	var asked []staleProcess
	for _, s := range late {
		if beaten := began.Add(-s.age); beaten.After(since) && beaten.After(l.lastOutage) {
			asked = append(asked, s)
		}
	}
	if own == "" || l.cannotList || len(asked) == 0 {
		return nil, nil
	}
	conns, err := l.conns(ctx, asked)
	if err != nil {
		return nil, err
	}
	open, err := l.open(ctx, append(conns, own))
	if err != nil || !open[own] {
		return nil, nil // without the own connection in the list, it proves nothing about others
	}
	for i, s := range asked {
		if conns[i] == "" || open[conns[i]] {
			s.seen.conn = ""
			continue
		}
		if s.seen.conn != conns[i] {
			s.seen.conn, s.seen.missing = conns[i], time.Now()
		}
		if time.Since(s.seen.missing) < confirmAfter || s.age < overdue(l.lease) {
			l.nextBeat = time.Now().Add(min(confirmAfter, l.lease/Beats))
			continue
		}
		dead = append(dead, s)
	}
	return dead, nil
}

// conns reads the connection ids of processes from their cards; "" if not known.
func (l *Lease) conns(ctx context.Context, of []staleProcess) (ids []string, err error) {
	cards := make([]*redis.SliceCmd, len(of))
	err = l.c.try(ctx, "read cards", func(ctx context.Context) error {
		_, err := l.c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, s := range of {
				cards[i] = p.HMGet(ctx, l.c.keys.card(s.role, s.id), "conn")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, card := range cards {
		ids = append(ids, list(card.Val()).text(0))
	}
	return ids, nil
}

// open reports which of some connections are open on the server that holds the namespace. It logs a
// permanent error once; then only the leases count.
func (l *Lease) open(ctx context.Context, ids []string) (map[string]bool, error) {
	args := []any{"CLIENT", "LIST", "ID"}
	for _, id := range ids {
		if id != "" {
			args = append(args, id)
		}
	}
	node, err := l.c.node(ctx)
	var list string
	if err == nil {
		list, err = node.Do(ctx, args...).Text()
	}
	if err != nil && !l.c.isTransient(err) && ctx.Err() == nil {
		l.c.log.LogAttrs(ctx, slog.LevelDebug, "connections are not listed: only the lease counts", slog.Any("err", l.c.withRemedy(err)))
		l.cannotList = true
	}
	open := map[string]bool{}
	for line := range strings.Lines(list) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		open[id] = true
	}
	return open, err
}
