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

// A Lease keeps a process in its registry. While this process is the watcher, it also declares
// processes dead and cleans up after them. The clean-ups run in their own goroutines, so that no
// heartbeat waits for a call whose duration depends on data. Close waits for them. One goroutine
// calls the other methods.
type Lease struct {
	c          *Client
	role       Role
	id         string
	lease      time.Duration
	nextBeat   time.Time // time of the next heartbeat
	liveness   *livenessConn
	changed    chan struct{}           // has a token after the liveness connection has changed
	shown      CardFields              // the fields of the card that the Lease itself sends
	failures   int64                   // of the client, at the last heartbeat
	seen       map[string]*observation // by mark: the processes in the last check
	lastCheck  time.Time               // time of the last check
	lastOutage time.Time               // end of the last outage

	cannotWatch atomic.Bool // the Redis user may not clean up after other processes
	cannotList  bool        // the Redis user may not list connections
	requeues    task        // of the entries of dead workers
	abandons    task        // of the sources of dead executors
	deletions   task        // of their queues
	expiries    task        // of the flows that are out of use
}

// An observation records the last heartbeat of a process and when this process first saw it.
type observation struct {
	beat    string
	since   time.Time
	conn    string    // its connection, if that is missing
	missing time.Time // when the connection was first missing
}

// Beats is the number of heartbeats in a lease.
const Beats = 5

// Lease returns the lease of a process that has joined. The caller closes it.
func (c *Client) Lease(r Role, id string, lease time.Duration) *Lease {
	l := &Lease{c: c, role: r, id: id, lease: lease, liveness: new(livenessConn), shown: CardFields{}, changed: make(chan struct{}, 1)}
	l.liveness.tell(l.changed)
	return l
}

// Close waits for the clean-ups in the background. The contexts of Beat must have ended.
func (l *Lease) Close() {
	for _, t := range l.tasks() {
		t.wait()
	}
	l.liveness.forget(l.changed)
}

// tasks returns the clean-ups. They are independent: none waits for another one.
func (l *Lease) tasks() []*task { return []*task{&l.requeues, &l.abandons, &l.deletions, &l.expiries} }

// Wait waits until the next heartbeat is due; the first one is due at once. It returns false if ctx
// has ended.
func (l *Lease) Wait(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(l.nextBeat))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.changed:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// A HeartbeatReply is the result of Beat.
type HeartbeatReply struct {
	Workers int           // live workers
	Overdue time.Duration // how long a delayed entry is overdue; 0: none is
}

// Beat renews the lease and updates fields of the card. As the watcher, it also starts clean-ups,
// which run until ctx ends or another process becomes the watcher. It returns ErrFenced if this
// process was declared dead.
func (l *Lease) Beat(ctx context.Context, card ...any) (HeartbeatReply, error) {
	k, began := l.c.keys, time.Now()
	interval := l.lease / Beats // the partitions of a client beat at the same time
	l.nextBeat = l.c.opened.Add((began.Sub(l.c.opened)/interval + 1) * interval)
	_, conn, _ := l.liveness.get()
	if failures := l.c.Failures(); failures != l.failures { // Redis may have gone back to an earlier card
		clear(l.shown)
		l.failures = failures
	}
	card = l.shown.Add(card, "conn", conn)
	reply, err := l.c.run(ctx, "beat", scripts.heartbeat,
		[]string{k.registry(l.role), k.card(l.role, l.id), k.watcher(), k.registry(RoleWorker), k.registry(RoleExecutor), k.fenced(), k.due()},
		append([]any{l.id, l.watch().Milliseconds()}, card...)...)
	if err != nil {
		clear(l.shown)
		return HeartbeatReply{}, err
	}
	r := asList(reply)
	if r.text(0) == "fenced" {
		clear(l.shown) // the process may join again, with a new card
		return HeartbeatReply{}, fmt.Errorf("%s %s: %w", l.role, l.id, ErrFenced)
	}
	l.c.clock.set(r.number(3), began)
	if time.Since(began) > l.lease/4 {
		l.lastOutage = time.Now()
	}
	if len(r) > 4 {
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

// denied reports whether err says that the Redis user lacks the permissions of a watcher. Then
// another process becomes the watcher.
func (l *Lease) denied(ctx context.Context, err error) bool {
	if !errors.Is(err, ErrDenied) {
		return false
	}
	if !l.cannotWatch.Swap(true) {
		l.c.log.InfoContext(ctx, "this process cannot be the watcher, since its Redis user lacks permissions; another process becomes the watcher", "err", err)
	}
	return true
}

// watch returns how long the watcher may be silent until this process replaces it; 0: never.
func (l *Lease) watch() time.Duration {
	if l.cannotWatch.Load() {
		return 0
	}
	return overdue(l.lease)
}

// overdue returns the age of the last heartbeat of a process that has missed one: one and a half
// intervals. The margin is at least a second, since the machine may be busy and a new watcher
// starts without the observations of the previous one.
func overdue(lease time.Duration) time.Duration {
	beat := lease / Beats
	return min(lease, beat+max(beat/2, time.Second))
}

// maxFenced is the number of processes that one check declares dead at most, and also of those
// whose connections it looks up. The next checks handle the others.
const maxFenced = 500

// checkHeartbeats compares the heartbeats with those of the last check, declares processes dead and
// starts the clean-ups that are due. A process is dead if its heartbeat has not changed for a
// lease, measured by the clock of this process, while this process could talk to Redis. So neither
// an outage nor a clock jump ends a process. It makes at most four round trips for any number of
// processes.
func (l *Lease) checkHeartbeats(ctx context.Context, r list, began time.Time) error {
	now := time.Now()
	before := l.seen
	if now.Sub(l.lastCheck) > l.lease || l.lastOutage.After(l.lastCheck) {
		before = nil // this process was stopped, or Redis was away: each other process gets a whole lease again
	}
	l.lastCheck, l.seen = now, map[string]*observation{}
	ms := r.number(3)
	var still, late []staleProcess
	for i, role := range []Role{RoleWorker, RoleExecutor} {
		beats := r.list(4 + i)
		for j := 0; j+1 < len(beats); j += 2 {
			s := staleProcess{role: role, id: beats.text(j), beat: beats.text(j + 1)}
			if s.seen = before[s.mark()]; s.seen == nil || s.seen.beat != s.beat {
				s.seen = &observation{beat: s.beat, since: now}
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
	missing, err := l.disconnected(ctx, late[:min(len(late), maxFenced)], began)
	if err != nil {
		return err
	}
	stood, err := l.fence(ctx, still[:min(len(still), maxFenced)], "no heartbeat for a lease")
	if err != nil {
		return err
	}
	gone, err := l.fence(ctx, missing, "its connection is closed")
	if err != nil {
		return err
	}
	fenced := slices.Concat(deadProcesses(r.list(6)), stood, gone)
	l.cleanUp(ctx, fenced, r.number(7))
	l.deleteExpired(ctx, r.list(8))
	return nil
}

// fence declares processes dead, unless they have sent another heartbeat.
func (l *Lease) fence(ctx context.Context, dead []staleProcess, why string) (fenced []deadProcess, err error) {
	if len(dead) == 0 {
		return nil, nil
	}
	k := l.c.keys
	args := []any{k.prefix}
	for _, s := range dead {
		args = append(args, s.mark(), s.beat)
	}
	reply, err := l.c.run(ctx, "declare processes dead", scripts.fence,
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
		l.c.log.LogAttrs(ctx, slog.LevelWarn, "process declared dead: "+why,
			slog.String("role", string(s.role)), slog.String("id", s.id), slog.Duration("lease", l.lease))
	}
	return fenced, nil
}
