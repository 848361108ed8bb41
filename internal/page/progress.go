package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/executor"
)

// Bounds of the actions that outlive their requests.
const (
	maxLongActs = 16              // that are shown at once
	quickAct    = time.Second     // after which a request no longer waits for its action
	showPause   = time.Second     // between two states of an action that pages show
	keepEnded   = 5 * time.Minute // for which an action is shown after its end
)

// A task is an action that takes a while.
type task struct {
	object string // such as "queue orders"
	unit   string // of total and of the progress, in the plural
	total  int64  // 0: unknown
	run    func(ctx context.Context, progress func(n int64)) error
}

// A longAct is a task that the server runs, or one that has ended lately.
type longAct struct {
	task
	id      string
	name    string // of the action
	by      string
	cancel  context.CancelFunc
	ended   chan struct{}
	stopped bool // by a user
	done    int64
	err     error
	at      time.Time // of the end, zero while it runs
}

// longActs are the actions of a Page that outlive their requests: one for each user and object.
type longActs struct {
	ctx     context.Context //nolint:containedctx // of all actions; the end of the Page ends it
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	last    int // number of ids
	all     []*longAct
	number  int64         // of the state that pages show
	changed chan struct{} // closed by the next state
	shown   time.Time     // of the last state
}

func newLongActs(ctx context.Context) *longActs {
	ctx, end := context.WithCancel(ctx)
	return &longActs{ctx: ctx, end: end, changed: make(chan struct{})}
}

// close stops all actions and waits for them.
func (l *longActs) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.running.Wait()
}

// begin runs a task. It returns an error if the same user acts on the same object, or too many
// actions run.
func (l *longActs) begin(name, by string, t task) (*longAct, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	if l.closed {
		return nil, executor.ErrClosed
	}
	for _, a := range l.all {
		if a.at.IsZero() && a.by == by && a.object == t.object {
			return nil, fmt.Errorf("an action on %s is under way: wait for its end, or stop it", t.object)
		}
	}
	if !l.makeRoom() {
		return nil, fmt.Errorf("%d actions are under way: wait for the end of one, or stop it", maxLongActs)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.last++
	a := &longAct{task: t, id: strconv.Itoa(l.last), name: name, by: by, cancel: cancel, ended: make(chan struct{})}
	l.all = append(l.all, a)
	l.running.Go(func() {
		defer cancel()
		l.finish(a, a.run(ctx, func(n int64) { l.advance(a, n) }))
	})
	return a, nil
}

// makeRoom forgets the oldest action that has ended, if there is no room for another one. It returns
// false if all of them run.
func (l *longActs) makeRoom() bool {
	if len(l.all) < maxLongActs {
		return true
	}
	i := slices.IndexFunc(l.all, func(a *longAct) bool { return !a.at.IsZero() })
	if i >= 0 {
		l.all = slices.Delete(l.all, i, i+1)
	}
	return i >= 0
}

// forget removes the actions that have ended a while ago. The caller holds the mutex.
func (l *longActs) forget() {
	l.all = slices.DeleteFunc(l.all, func(a *longAct) bool { return !a.at.IsZero() && time.Since(a.at) > keepEnded })
}

// advance notes the progress of an action.
func (l *longActs) advance(a *longAct, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.done = n
	if time.Since(l.shown) >= showPause {
		l.show()
	}
}

// finish notes the end of an action.
func (l *longActs) finish(a *longAct, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.stopped && errors.Is(err, context.Canceled) {
		err = nil
	}
	a.err, a.at = err, time.Now()
	close(a.ended)
	l.show()
}

// show wakes the pages. The caller holds the mutex.
func (l *longActs) show() {
	l.shown = time.Now()
	l.number++
	close(l.changed)
	l.changed = make(chan struct{})
}

// now returns the number of the newest state, and a channel that is closed by the next one.
func (l *longActs) now() (int64, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.number, l.changed
}

// result returns the error of an action that has ended, and no longer shows it.
func (l *longActs) result(a *longAct) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *longAct) bool { return other == a })
	return a.err
}

// stop stops an action that runs, and no longer shows one that has ended.
func (l *longActs) stop(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(a *longAct) bool { return a.id == id })
	if i < 0 {
		return errors.New("this action has ended")
	}
	a := l.all[i]
	if a.at.IsZero() {
		a.stopped = true
		a.cancel()
		return nil
	}
	l.all = slices.Delete(l.all, i, i+1)
	l.show()
	return nil
}

// A longRow is an action as a page shows it.
type longRow struct {
	ID, Name, Object, Unit string
	Done, Total            int64
	State                  string // "running", "stops", "stopped", "failed" or "done"
	Problem                string // why it has failed
	Control                *control
}

// rows returns the actions for a page.
func (l *longActs) rows(f frame) (rows []longRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	for _, a := range l.all {
		row := longRow{ID: a.id, Name: a.name, Object: a.object, Unit: a.unit, Done: a.done, Total: max(a.total, a.done), State: "running"}
		label := "Hide"
		switch {
		case a.at.IsZero() && a.stopped:
			row.State, label = "stops", "Stop"
		case a.at.IsZero():
			label = "Stop"
		case a.err != nil:
			row.State, row.Problem = "failed", a.err.Error()
		case a.stopped:
			row.State = "stopped"
		default:
			row.State = "done"
		}
		row.Control = controlOf(f, "stop", label, "", "", "act", a.id)
		rows = append(rows, row)
	}
	return rows
}

// lettersAtOnce is the number of dead letters between two reports of progress.
const lettersAtOnce = 100

// inParts calls do with some ids after the other, until all are done or none of a part is.
func inParts(ctx context.Context, ids []string, progress func(int64), do func(context.Context, []string) (int64, error)) (failed error) {
	for at := 0; at < len(ids); at += lettersAtOnce {
		part := ids[at:min(at+lettersAtOnce, len(ids))]
		items, err := do(ctx, part)
		if failed == nil { // those of further parts are like it
			failed = err
		}
		if ctx.Err() != nil || err != nil && items == 0 {
			return failed
		}
		progress(int64(at + len(part)))
	}
	return failed
}
