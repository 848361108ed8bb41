package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// again is how long after the first look at a connection that is missing the
// second one comes, which decides.
const again = time.Second

// A sign is the connection on which a process waits: the kernel closes it when
// the process dies, at once, and Redis knows. Who only stands still keeps it.
type sign struct {
	news chan struct{} // there is another id

	mu    sync.Mutex
	node  redis.UniversalClient // that was asked for the id
	id    string                // that Redis gave to the connection, "" while it is not known
	since time.Time
}

// lost notes that a connection was opened or closed.
func (s *sign) lost() {
	if s == nil { // of a gather, which is no process
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.id = nil, ""
}

func (s *sign) found(node redis.UniversalClient, id string) {
	s.mu.Lock()
	s.node, s.id, s.since = node, id, time.Now()
	s.mu.Unlock()
	if id != "" {
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

func (s *sign) known() (node redis.UniversalClient, id string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node, s.id, s.since
}

// Reader makes the Reader of the process' mailbox, whose connection is its sign
// of life. Close it.
func (l *Lease) Reader(wait time.Duration) *Reader { return l.c.reader(l.id, wait, l.sign) }

// identify asks which connection it is that the next read waits on. A server
// that does not tell, or not to this user, is not asked again: then only the
// lease counts.
func (r *Reader) identify(ctx context.Context) {
	if r.dialed.sign == nil {
		return
	}
	node, err := master(ctx, r.rdb, r.c.keys)
	if err != nil {
		return
	}
	if asked, _, _ := r.dialed.sign.known(); asked == node {
		return
	}
	id, err := node.ClientID(ctx).Result()
	switch {
	case err == nil:
		r.dialed.sign.found(node, fmt.Sprint(id))
	case !r.c.passes(err) && ctx.Err() == nil:
		r.dialed.sign.found(node, "")
	}
}

// A suspect is a process that may be dead.
type suspect struct {
	role Role
	id   string
	beat string
	age  time.Duration // of the beat, by the clock of Redis
	seen *sighting
}

// mark is its name in the fenced hash, and after the prefix that of its card.
func (s suspect) mark() string { return string(s.role[0]) + ":" + s.id }

// missing looks for the connections of processes that are late, and returns those that have
// none in two looks and have not beaten meanwhile. A process is judged only if its last
// beat came while this process had its own connection and no trouble: after a restart of
// Redis, on another node or in an outage the others may just need longer to come back, and
// have their whole lease for it. So an old beat after an outage, or by a clock that has
// jumped, ends no process.
func (l *Lease) missing(ctx context.Context, late []suspect, began time.Time) (dead []suspect, err error) {
	_, own, since := l.sign.known()
	var asked []suspect
	for _, s := range late {
		if beaten := began.Add(-s.age); beaten.After(since) && beaten.After(l.trouble) {
			asked = append(asked, s)
		}
	}
	if own == "" || l.unlisted || len(asked) == 0 {
		return nil, nil
	}
	conns, err := l.conns(ctx, asked)
	if err != nil {
		return nil, err
	}
	open, err := l.open(ctx, append(conns, own))
	if err != nil || !open[own] {
		return nil, nil // nothing is known
	}
	for i, s := range asked {
		if conns[i] == "" || open[conns[i]] {
			s.seen.conn = ""
			continue
		}
		if s.seen.conn != conns[i] {
			s.seen.conn, s.seen.missing = conns[i], time.Now()
		}
		if time.Since(s.seen.missing) < again || s.age < overdue(l.lease) {
			l.next = time.Now().Add(min(again, l.lease/Beats))
			continue
		}
		dead = append(dead, s)
	}
	return dead, nil
}

// conns reads which connections are those of processes, "" where that is not
// known.
func (l *Lease) conns(ctx context.Context, of []suspect) (ids []string, err error) {
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

// open tells which of some connections are, as the server that holds the
// namespace sees it. An error is told once: the leases are still there.
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
	if err != nil && !l.c.passes(err) && ctx.Err() == nil {
		l.c.log.LogAttrs(ctx, slog.LevelDebug, "connections are not listed: only the lease counts", slog.Any("err", l.c.explained(err)))
		l.unlisted = true
	}
	open := map[string]bool{}
	for line := range strings.Lines(list) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		open[id] = true
	}
	return open, err
}
