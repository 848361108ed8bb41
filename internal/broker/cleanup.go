package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// grace is how long the queues of an executor outlive it, in watched time.
const grace = 10 * time.Minute

// deletePage is the number of queues deleted between two checks that their executor is still dead.
const deletePage = 50

// A deadProcess is an entry of the fenced hash: the clean-ups that a dead process still needs. It
// is the only state of them, so any process can continue the clean-ups. A process that joins again
// has no entry.
type deadProcess struct {
	mark, entry string
	role        Role
	id          string
	at          int64  // watched time in ms of its death
	done        int    // number of clean-ups done
	pid, host   string // from its card
}

func deadProcesses(l list) (all []deadProcess) {
	for i := 0; i+1 < len(l); i += 2 {
		all = append(all, parseDead(l.text(i), l.text(i+1)))
	}
	return all
}

// parseDead parses an entry: time, number of clean-ups done, process id and host.
func parseDead(mark, entry string) deadProcess {
	d := deadProcess{mark: mark, entry: entry, role: RoleWorker}
	kind, id, _ := strings.Cut(mark, ":")
	if d.id = id; kind == string(RoleExecutor[0]) {
		d.role = RoleExecutor
	}
	fields := append(strings.SplitN(entry, " ", 4), "", "", "")
	d.at, d.done, d.pid, d.host = parseInt(fields[0]), int(parseInt(fields[1])), fields[2], fields[3]
	return d
}

// next returns the entry after one more clean-up.
func (d deadProcess) next() string {
	return fmt.Sprintf("%d %d %s %s", d.at, d.done+1, d.pid, d.host)
}

// due returns the ages, in watched time, at which a clean-up is due. The entries of a worker are
// requeued three times, since a worker that was only stopped may read once more before its
// heartbeat is refused.
func (d deadProcess) due(lease time.Duration) []time.Duration {
	if d.role == RoleWorker {
		return []time.Duration{0, lease, 6 * lease}
	}
	return []time.Duration{0, grace}
}

// cleanUp starts the clean-ups that are due. A clean-up that does not start, because an earlier one
// is running, or that is stopped, is due again in the next check.
func (l *Lease) cleanUp(ctx context.Context, dead []deadProcess, watched int64) {
	var workers, executors, graceOver []deadProcess
	for _, d := range dead {
		ages := d.due(l.lease)
		d.done = min(d.done, len(ages)-1)
		if time.Duration(watched-d.at)*time.Millisecond < ages[d.done] {
			continue
		}
		switch {
		case d.role == RoleExecutor && d.done == 0:
			executors = append(executors, d)
		case d.role == RoleExecutor:
			graceOver = append(graceOver, d)
		case len(workers) < maxNames:
			workers = append(workers, d)
		}
	}
	if len(workers) > 0 {
		l.requeues.begin(ctx, func(ctx context.Context) {
			l.log(ctx, "requeue of the entries of dead workers failed; it is tried again", l.requeue(ctx, workers))
		})
	}
	if len(executors) > 0 {
		l.abandons.begin(ctx, func(ctx context.Context) {
			for _, d := range executors {
				l.log(ctx, "the sources of a dead executor were not abandoned; it is tried again", l.abandonSources(ctx, d))
			}
		})
	}
	if len(graceOver) > 0 {
		l.deletions.begin(ctx, func(ctx context.Context) {
			for _, d := range graceOver {
				l.log(ctx, "the queues of a dead executor were not deleted; it is tried again", l.deleteQueues(ctx, d))
			}
		})
	}
}

// log logs an error, unless the clean-up was stopped.
func (l *Lease) log(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !l.denied(ctx, err) {
		l.c.log.LogAttrs(ctx, slog.LevelWarn, what, slog.Any("err", err))
	}
}

// requeue requeues the entries of dead workers, in one pass for all of them.
func (l *Lease) requeue(ctx context.Context, dead []deadProcess) error {
	var names []string // of workers after their last clean-up
	replace := make([]string, len(dead))
	for i, d := range dead {
		if d.done+1 < len(d.due(l.lease)) {
			replace[i] = d.next()
		} else {
			names = append(names, d.id)
		}
	}
	if err := l.c.Requeue(ctx, names...); err != nil {
		return err
	}
	return l.cleaned(ctx, dead, replace)
}

// abandonPage is the number of sources that one script call abandons.
const abandonPage = 100

// abandonSources abandons the sources of a dead executor, page by page, unless it joins again. Then
// it pauses the executor's flows.
func (l *Lease) abandonSources(ctx context.Context, d deadProcess) error {
	cause := "its process died: executor " + d.id
	if d.host != "" {
		cause += fmt.Sprintf(", process %s on %s", d.pid, d.host)
	}
	k := l.c.keys
	for found := any(int64(abandonPage)); found == int64(abandonPage); {
		var err error
		found, err = l.c.run(ctx, "abandon the sources of executor "+d.id, scripts.abandonSources,
			[]string{k.holds(d.id), k.registry(RoleExecutor)}, d.id, cause, k.prefix, abandonPage)
		if err != nil {
			return err
		}
	}
	if err := l.c.PauseFlows(ctx, d.id); err != nil {
		return err
	}
	return l.cleaned(ctx, []deadProcess{d}, []string{d.next()})
}

// deleteQueues deletes the queues of a dead executor after the grace period, unless it joins again.
func (l *Lease) deleteQueues(ctx context.Context, d deadProcess) error {
	owned, err := l.c.Owned(ctx, d.id)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(owned, deletePage) {
		if dead, err := l.isDead(ctx, d); err != nil || !dead {
			return err
		}
		if err := l.c.DeleteOwned(ctx, d.id, some); err != nil {
			return err
		}
	}
	err = l.c.try(ctx, "forget the queues of a dead executor", func(ctx context.Context) error {
		return l.c.rdb.Del(ctx, l.c.keys.owned(d.id)).Err()
	})
	if err != nil {
		return err
	}
	return l.cleaned(ctx, []deadProcess{d}, []string{""})
}

// isDead reports whether a process has not joined again.
func (l *Lease) isDead(ctx context.Context, d deadProcess) (dead bool, err error) {
	err = l.c.try(ctx, "read a dead process", func(ctx context.Context) error {
		entry, err := l.c.rdb.HGet(ctx, l.c.keys.fenced(), d.mark).Result()
		dead = entry == d.entry
		return err
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return dead, err
}

// cleaned replaces the entries of dead processes after a clean-up; "" deletes an entry.
func (l *Lease) cleaned(ctx context.Context, dead []deadProcess, replace []string) error {
	var args []any
	for i, d := range dead {
		args = append(args, d.mark, d.entry, replace[i])
	}
	_, err := l.c.run(ctx, "record clean-ups", scripts.cleaned, []string{l.c.keys.fenced()}, args...)
	return err
}

// A task runs one function at a time in its own goroutine.
type task struct {
	busy   atomic.Bool
	cancel context.CancelFunc // of the last function; nil before the first
	group  sync.WaitGroup
}

// begin starts a function, unless the last one is still running.
func (t *task) begin(ctx context.Context, f func(context.Context)) {
	if !t.busy.CompareAndSwap(false, true) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	t.cancel = cancel
	t.group.Go(func() {
		defer t.busy.Store(false)
		defer cancel()
		f(ctx)
	})
}

// stop cancels the context of the running function.
func (t *task) stop() {
	if t.cancel != nil {
		t.cancel()
	}
}

func (t *task) wait() { t.group.Wait() }
