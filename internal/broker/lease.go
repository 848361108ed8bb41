package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// A Lease keeps a process in its registry and, while this process is the one
// that was chosen for it, finds the dead and gives back what they held. Its
// methods are called by one goroutine.
type Lease struct {
	c     *Client
	role  Role
	id    string
	lease time.Duration
	seen  map[string]sighting
	last  time.Time       // of the last census
	freed map[string]bool // dead executors whose sources were given up
	blind bool            // its Redis user may not give back what others held
}

type sighting struct {
	beat  string
	since time.Time
}

// grace is how long the queues of an executor outlive its lease.
const grace = 10 * time.Minute

// Lease makes the lease of a process that has joined.
func (c *Client) Lease(r Role, id string, lease time.Duration) *Lease {
	return &Lease{c: c, role: r, id: id, lease: lease, seen: map[string]sighting{}, freed: map[string]bool{}}
}

// A Pulse is what a heartbeat tells.
type Pulse struct {
	Workers int           // that live
	Overdue time.Duration // since when a retry should be back and is not; 0: none
}

// Beat renews the lease and writes what changed in the card. ErrFenced: others
// took this process for dead.
func (l *Lease) Beat(ctx context.Context, card ...any) (Pulse, error) {
	k, began := l.c.keys, time.Now()
	reply, err := l.c.run(ctx, "beat", scripts.beat,
		[]string{k.registry(l.role), k.card(l.role, l.id), k.watcher(), k.registry(RoleWorker), k.registry(RoleExecutor), k.fenced(), k.due()},
		append([]any{l.id, l.watch().Milliseconds()}, card...)...)
	if err != nil {
		return Pulse{}, err
	}
	r := asList(reply)
	if r.text(0) == "fenced" {
		return Pulse{}, fmt.Errorf("%s %s: %w", l.role, l.id, ErrFenced)
	}
	if time.Since(began) > l.lease/4 {
		clear(l.seen) // Redis was away, for the others too: they get a whole lease to come back
	}
	if len(r) > 3 {
		err = l.census(ctx, r)
	}
	if errors.Is(err, ErrDenied) {
		l.c.log.InfoContext(ctx, "another process has to look for the dead", "err", err)
		l.blind, err = true, nil
	}
	return Pulse{int(r.number(1)), time.Duration(r.number(2)) * time.Millisecond}, err
}

// watch is after how long this process looks for the dead in the place of
// another one, 0: never.
func (l *Lease) watch() time.Duration {
	if l.blind {
		return 0
	}
	return l.lease
}

// census compares the beats with those seen before. One that stood still for a
// lease of this process' own clock, while this process could talk to Redis, is
// dead: neither an outage of Redis nor a jump of a clock kills anybody.
func (l *Lease) census(ctx context.Context, r list) error {
	now := time.Now()
	if now.Sub(l.last) > l.lease {
		clear(l.seen) // it was this process that stood still
	}
	l.last = now
	for i, role := range []Role{RoleWorker, RoleExecutor} {
		beats := r.list(3 + i)
		for j := 0; j+1 < len(beats); j += 2 {
			id, beat := beats.text(j), beats.text(j+1)
			mark := string(role[0]) + ":" + id
			old, ok := l.seen[mark]
			if !ok || old.beat != beat {
				l.seen[mark] = sighting{beat, now}
				continue
			}
			if now.Sub(old.since) >= l.lease {
				if err := l.fence(ctx, role, id, beat); err != nil {
					return err
				}
				delete(l.seen, mark)
			}
		}
	}
	fenced, ms := r.list(5), r.number(6)
	for j := 0; j+1 < len(fenced); j += 2 {
		age := time.Duration(ms-fenced.number(j+1)) * time.Millisecond
		if err := l.bury(ctx, fenced.text(j), age, nil); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lease) fence(ctx context.Context, role Role, id, beat string) error {
	k := l.c.keys
	mark := string(role[0]) + ":" + id
	card, err := l.c.card(ctx, role, id)
	if err != nil {
		return err
	}
	reply, err := l.c.run(ctx, "declare dead", scripts.fence,
		[]string{k.registry(role), k.card(role, id), k.mailbox(id), k.fenced()}, id, beat, mark)
	if err != nil || reply == int64(0) {
		return err
	}
	l.c.log.LogAttrs(ctx, slog.LevelWarn, "a process is dead: its heartbeat stood still for a lease",
		slog.String("role", string(role)), slog.String("id", id), slog.Duration("lease", l.lease))
	return l.bury(ctx, mark, 0, card)
}

// bury gives back what a dead worker held, again and again for some leases: a
// process that was only stopped may read once more before it learns that it is
// dead. The sources of a dead executor are given up at once, its queues go after
// a time of grace. card is the one that it had, nil where that is not known.
func (l *Lease) bury(ctx context.Context, mark string, age time.Duration, card map[string]string) error {
	kind, id, _ := strings.Cut(mark, ":")
	if kind == string(RoleWorker[0]) {
		if err := l.c.GiveBack(ctx, id, 1); err != nil {
			return err
		}
		if age < 6*l.lease {
			return nil
		}
	} else {
		if err := l.free(ctx, id, card); err != nil {
			return err
		}
		if age < grace {
			return nil
		}
		delete(l.freed, id)
		owned, err := l.c.Owned(ctx, id)
		if err != nil {
			return err
		}
		if err := l.c.DeleteAll(ctx, owned); err != nil {
			return err
		}
	}
	return l.c.try(ctx, "forget the dead", func(ctx context.Context) error {
		return l.c.rdb.HDel(ctx, l.c.keys.fenced(), mark).Err()
	})
}

// free gives up the sources of a dead executor, in whatever queue.
func (l *Lease) free(ctx context.Context, id string, card map[string]string) error {
	if l.freed[id] {
		return nil
	}
	cause := "its process died: executor " + id
	if card["host"] != "" {
		cause += fmt.Sprintf(", process %s on %s", card["pid"], card["host"])
	}
	queues, err := l.c.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if _, err := l.c.run(ctx, "give up the sources of queue "+q, scripts.orphan,
			[]string{l.c.keys.sources(q), l.c.keys.watch(q)}, id, cause, l.c.keys.source("")); err != nil {
			return err
		}
	}
	l.freed[id] = true
	return nil
}

// reclaimChunk entries are put back by one script call.
const reclaimChunk = 100

// GiveBack puts back what a worker holds of all queues; crashes is added to
// the count of each entry. One that is suspicious then is put where it is run
// alone.
func (c *Client) GiveBack(ctx context.Context, worker string, crashes int) error {
	stages, err := c.Stages(ctx)
	if err != nil {
		return err
	}
	for _, s := range stages {
		for _, in := range s.Ins {
			for _, stream := range []string{c.keys.stream(in.Name), c.keys.returns(in.Name), c.keys.suspects(in.Name)} {
				for {
					n, err := c.run(ctx, "give back queue "+in.Name, scripts.reclaim,
						[]string{stream, c.keys.returns(in.Name), c.keys.suspects(in.Name)}, worker, reclaimChunk, crashes, Suspicious)
					if err != nil {
						return err
					}
					if n != int64(reclaimChunk) {
						break
					}
				}
			}
		}
	}
	return nil
}
