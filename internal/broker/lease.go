package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// A Lease keeps a process in its registry. While this process is the watcher, it also
// declares processes dead, and cleans up after them in goroutines of its own, which Close
// waits for: a heartbeat waits for nothing whose length depends on data. The other methods
// are called by one goroutine.
type Lease struct {
	c       *Client
	role    Role
	id      string
	lease   time.Duration
	next    time.Time // when to beat
	sign    *sign
	seen    map[string]*sighting // by mark, of the processes in the last census
	last    time.Time            // of the last census
	trouble time.Time            // when Redis was last away

	blind     atomic.Bool // its Redis user may not clean up after others
	unlisted  bool        // nor see which connections are open
	requeues  task        // of what dead workers held
	abandons  task        // of the sources of dead executors
	deletions task        // of their queues
}

// A sighting is the last beat of a process and when this process first saw it.
type sighting struct {
	beat    string
	since   time.Time
	conn    string // of the process, if it is missing
	missing time.Time
}

// Beats are the heartbeats of a lease.
const Beats = 5

// Lease makes the lease of a process that has joined. Close it.
func (c *Client) Lease(r Role, id string, lease time.Duration) *Lease {
	return &Lease{c: c, role: r, id: id, lease: lease, sign: &sign{news: make(chan struct{}, 1)}}
}

// Close waits for what goes on in the background. The contexts of Beat end first.
func (l *Lease) Close() {
	for _, t := range l.tasks() {
		t.wait()
	}
}

// tasks are independent of each other: none holds up another one.
func (l *Lease) tasks() []*task { return []*task{&l.requeues, &l.abandons, &l.deletions} }

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

// A HeartbeatReply is what a heartbeat tells.
type HeartbeatReply struct {
	Workers int           // that live
	Overdue time.Duration // since when a retry should be back and is not; 0: none
}

// Beat renews the lease and writes what changed in the card. What it begins as the watcher
// goes on in the background until ctx ends or another process is the watcher. ErrFenced:
// this process was declared dead.
func (l *Lease) Beat(ctx context.Context, card ...any) (HeartbeatReply, error) {
	k, began := l.c.keys, time.Now()
	l.next = began.Add(l.lease / Beats)
	_, conn, _ := l.sign.known()
	card = append(card, "conn", conn)
	reply, err := l.c.run(ctx, "beat", scripts.heartbeat,
		[]string{k.registry(l.role), k.card(l.role, l.id), k.watcher(), k.registry(RoleWorker), k.registry(RoleExecutor), k.fenced(), k.due()},
		append([]any{l.id, l.watch().Milliseconds()}, card...)...)
	if err != nil {
		return HeartbeatReply{}, err
	}
	r := asList(reply)
	if r.text(0) == "fenced" {
		return HeartbeatReply{}, fmt.Errorf("%s %s: %w", l.role, l.id, ErrFenced)
	}
	if time.Since(began) > l.lease/4 {
		l.trouble = time.Now()
	}
	if len(r) > 3 {
		err = l.checkHeartbeats(ctx, r, began)
	} else {
		for _, t := range l.tasks() {
			t.stop()
		}
	}
	if l.denied(ctx, err) {
		err = nil
	}
	return HeartbeatReply{int(r.number(1)), time.Duration(r.number(2)) * time.Millisecond}, err
}

// denied reports whether an error is that this process may not do what a watcher does:
// then another one has to.
func (l *Lease) denied(ctx context.Context, err error) bool {
	if !errors.Is(err, ErrDenied) {
		return false
	}
	if !l.blind.Swap(true) {
		l.c.log.InfoContext(ctx, "another process has to look for the dead", "err", err)
	}
	return true
}

// watch is after how long this process looks for the dead in the place of
// another one, 0: never.
func (l *Lease) watch() time.Duration {
	if l.blind.Load() {
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

// maxFenced is how many processes one census declares dead, and how many it suspects. The
// others follow with the next ones.
const maxFenced = 500

// checkHeartbeats compares the beats with those seen before, declares dead whose beat
// stood still, and has cleaned up what is due. A process is dead if its beat stood still
// for a lease of this process' own clock, while this process could talk to Redis: neither
// an outage of Redis nor a jump of a clock ends a process. It makes at most four round
// trips, however many processes there are.
func (l *Lease) checkHeartbeats(ctx context.Context, r list, began time.Time) error {
	now := time.Now()
	before := l.seen
	if now.Sub(l.last) > l.lease || l.trouble.After(l.last) {
		before = nil // it was this process that stood still, or Redis was away: the others get a whole lease to come back
	}
	l.last, l.seen = now, map[string]*sighting{}
	ms := r.number(6)
	var still, late []suspect
	for i, role := range []Role{RoleWorker, RoleExecutor} {
		beats := r.list(3 + i)
		for j := 0; j+1 < len(beats); j += 2 {
			s := suspect{role: role, id: beats.text(j), beat: beats.text(j + 1)}
			if s.seen = before[s.mark()]; s.seen == nil || s.seen.beat != s.beat {
				s.seen = &sighting{beat: s.beat, since: now}
			}
			l.seen[s.mark()] = s.seen
			s.age = time.Duration(ms-beats.number(j+1)) * time.Millisecond
			if now.Sub(s.seen.since) >= l.lease {
				still = append(still, s)
			} else if s.age > l.lease/Beats+l.lease/50 {
				late = append(late, s)
			}
		}
	}
	missing, err := l.missing(ctx, late[:min(len(late), maxFenced)], began)
	if err != nil {
		return err
	}
	stood, err := l.fence(ctx, still[:min(len(still), maxFenced)], "its heartbeat stood still for a lease")
	if err != nil {
		return err
	}
	gone, err := l.fence(ctx, missing, "its connection is closed")
	if err != nil {
		return err
	}
	fenced := slices.Concat(deadProcesses(r.list(5)), stood, gone)
	l.cleanUp(ctx, fenced, r.number(7))
	return nil
}

// fence declares processes dead, unless they have beaten meanwhile.
func (l *Lease) fence(ctx context.Context, dead []suspect, why string) (fenced []deadProcess, err error) {
	if len(dead) == 0 {
		return nil, nil
	}
	k := l.c.keys
	args := []any{k.prefix}
	for _, s := range dead {
		args = append(args, s.mark(), s.beat)
	}
	reply, err := l.c.run(ctx, "declare dead", scripts.fence,
		[]string{k.registry(RoleWorker), k.registry(RoleExecutor), k.fenced(), k.watcher()}, args...)
	if err != nil {
		return nil, err
	}
	for i, s := range dead {
		entry := asList(reply).text(i)
		if entry == "" {
			continue
		}
		fenced = append(fenced, parseDead(s.mark(), entry))
		delete(l.seen, s.mark())
		l.c.log.LogAttrs(ctx, slog.LevelWarn, "a process is dead: "+why,
			slog.String("role", string(s.role)), slog.String("id", s.id), slog.Duration("lease", l.lease))
	}
	return fenced, nil
}
