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
	c        *Client
	role     Role
	id       string
	lease    time.Duration
	next     time.Time // when to beat
	sign     *sign
	seen     map[string]*sighting
	last     time.Time       // of the last census
	trouble  time.Time       // when Redis was last away
	freed    map[string]bool // dead executors whose sources were given up
	blind    bool            // its Redis user may not give back what others held
	unlisted bool            // nor see which connections are open
}

type sighting struct {
	beat    string
	since   time.Time
	conn    string // of the process, which is missing, "" where it is not
	missing time.Time
}

// Beats are the heartbeats of a lease.
const Beats = 5

// grace is how long the queues of an executor outlive its lease.
const grace = 10 * time.Minute

// Lease makes the lease of a process that has joined.
func (c *Client) Lease(r Role, id string, lease time.Duration) *Lease {
	return &Lease{
		c: c, role: r, id: id, lease: lease, sign: &sign{news: make(chan struct{}, 1)}, seen: map[string]*sighting{}, freed: map[string]bool{},
	}
}

// Wait waits until it is time to beat, at first not at all. It is false when ctx
// has ended.
func (l *Lease) Wait(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(l.next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.sign.news:
	case <-timer.C:
	}
	return ctx.Err() == nil
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
	l.next = began.Add(l.lease / Beats)
	_, conn, _ := l.sign.known()
	card = append(card, "conn", conn)
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
		l.trouble = time.Now()
	}
	if len(r) > 3 {
		err = l.census(ctx, r, began)
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
	return overdue(l.lease)
}

// overdue is how old the last beat of a process is that has missed one: half a
// beat more, but at least a second, since the machine may be busy, and a change
// of the watcher costs what the previous one has seen.
func overdue(lease time.Duration) time.Duration {
	beat := lease / Beats
	return min(lease, beat+max(beat/2, time.Second))
}

// census compares the beats with those seen before. One that stood still for a
// lease of this process' own clock, while this process could talk to Redis, is
// dead: neither an outage of Redis nor a jump of a clock kills anybody.
func (l *Lease) census(ctx context.Context, r list, began time.Time) error {
	now := time.Now()
	if now.Sub(l.last) > l.lease {
		clear(l.seen) // it was this process that stood still
	}
	l.last = now
	fenced, ms := r.list(5), r.number(6)
	var late []suspect
	for i, role := range []Role{RoleWorker, RoleExecutor} {
		beats := r.list(3 + i)
		for j := 0; j+1 < len(beats); j += 2 {
			id, beat := beats.text(j), beats.text(j+1)
			mark := string(role[0]) + ":" + id
			old, ok := l.seen[mark]
			if !ok || old.beat != beat {
				old = &sighting{beat: beat, since: now}
				l.seen[mark] = old
			}
			if now.Sub(old.since) >= l.lease {
				if err := l.fence(ctx, role, id, beat, "its heartbeat stood still for a lease"); err != nil {
					return err
				}
			} else if age := time.Duration(ms-beats.number(j+1)) * time.Millisecond; age > l.lease/Beats+l.lease/50 {
				late = append(late, suspect{role, id, beat, age, old})
			}
		}
	}
	if err := l.missed(ctx, late, began); err != nil {
		return err
	}
	for j := 0; j+1 < len(fenced); j += 2 {
		age := time.Duration(ms-fenced.number(j+1)) * time.Millisecond
		if err := l.bury(ctx, fenced.text(j), age, nil); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lease) fence(ctx context.Context, role Role, id, beat, why string) error {
	k := l.c.keys
	mark := string(role[0]) + ":" + id
	card, err := l.c.card(ctx, role, id)
	if err != nil {
		return err
	}
	reply, err := l.c.run(ctx, "declare dead", scripts.fence,
		[]string{k.registry(role), k.card(role, id), k.mailbox(id), k.fenced()}, id, beat, mark)
	if err == nil {
		delete(l.seen, mark)
	}
	if err != nil || reply == int64(0) {
		return err
	}
	l.c.log.LogAttrs(ctx, slog.LevelWarn, "a process is dead: "+why,
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
			[]string{l.c.keys.sources(q), l.c.keys.watch(q), l.c.keys.meta(q)}, id, cause, l.c.keys.source("")); err != nil {
			return err
		}
	}
	l.freed[id] = true
	return nil
}
