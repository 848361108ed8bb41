// Package worker runs functions for the stages of a fleet. A Worker has one session in each
// partition at a time. In a session, a fetcher takes entries from the queues of its routes, slots run
// them, and a completer replaces them by their results:
//
//	fetcher ── job ──> slot ── completion ──> completer ──> Redis
//	   ^                 │
//	   └──── freed ──────┘
package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// Options are the settings of a Worker. The package workers has the defaults.
type Options struct {
	Connection  connection.Settings
	Client      *broker.Client      // used in place of one that New opens, and not closed by Run; may be nil
	Concurrency int                 // calls at the same time
	Tags        []string            // of the worker: it runs the stages whose tags are among them
	Drain       time.Duration       // for calls that run when Run has to end
	PauseIf     func() error        // asked before calls; nil: none
	Feed        func()              // called while heartbeats go on or fail; not called if they hang; nil: none
	Middleware  []runner.Middleware // around each call, the first one outermost
	Functions   []*runner.Function  // Register adds further ones
	Observe     []func(*Worker)     // called by New with the Worker, which Run has not started
	Tuning      *Tuning             // its concurrency replaces Concurrency; nil: the settings do not change
}

// A Worker runs functions. Its methods can be called from many goroutines.
type Worker struct {
	Options
	handler    runner.Handler // runs each call; nil: there is no middleware
	owned      bool           // Run closes the client
	partitions *partitionSet
	mailboxes  *broker.MailboxReader // of all partitions; nil: each has its own connection for hints
	counts     counts
	stopping   atomic.Bool // the context of Run has ended
	draining   atomic.Bool // an operator lets it take no more
	started    time.Time   // when New made it

	concurrency atomic.Int64
	offers      atomic.Int64 // how often all functions were replaced

	mu        sync.Mutex // never held across I/O
	functions map[string]*runner.Function
	breakers  map[*runner.Function]*breaker
	limiters  map[string]*limiter // by the name of the function
	limits    map[string]int      // that replace those of the definitions
	progress  progress
}

// counts are reported with each heartbeat.
type counts struct {
	done   atomic.Int64 // items, including those that failed
	failed atomic.Int64 // items
	left   atomic.Int64 // calls that did not return and were left behind
}

// progress is the state of the one Run of a Worker.
type progress int

const (
	notRun progress = iota
	running
	ended
)

var (
	errRunTwice = errors.New("workers: Run was called before: a Worker runs once, make another one with workers.New")
	errKilled   = errors.New("workers: the test has killed the worker")
	errEnded    = errors.New("workers: the Worker has ended: make another one with workers.New")
)

// New returns a Worker for the Redis at an address. It does not connect.
func New(redisURL string, o Options) (*Worker, error) {
	w := &Worker{
		Options: o, functions: map[string]*runner.Function{}, breakers: map[*runner.Function]*breaker{}, limiters: map[string]*limiter{}, partitions: newPartitionSet(),
		started: time.Now(),
	}
	w.concurrency.Store(int64(o.Concurrency))
	if err := w.add(o.Functions); err != nil {
		return nil, err
	}
	if o.Tuning != nil {
		o.Tuning.attach(w)
	}
	var err error
	if w.handler, err = runner.Chain(o.Middleware); err != nil {
		return nil, err
	}
	if w.Client == nil {
		own := w.Connection.Options
		own.Shared = true
		c, err := broker.Open(redisURL, own)
		if err != nil {
			return nil, err
		}
		w.Client, w.owned = c, true
	}
	for _, observe := range o.Observe {
		observe(w)
	}
	return w, nil
}

// setProgress moves Run from one state to another. It returns false if Run is in a different state.
func (w *Worker) setProgress(from, to progress) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress != from {
		return false
	}
	w.progress = to
	return true
}

// add adds all functions, or none.
func (w *Worker) add(functions []*runner.Function) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress == ended {
		return errEnded
	}
	added := maps.Clone(w.functions)
	for _, f := range functions {
		if old := added[f.Name]; old != nil && old != f {
			return fmt.Errorf("workers: two functions have the name %q", f.Name)
		}
		added[f.Name] = f
	}
	for _, f := range added {
		if w.breakers[f] == nil {
			w.breakers[f] = newBreaker()
		}
	}
	w.functions = added
	for name := range added {
		if w.limiters[name] == nil {
			w.limiters[name] = new(limiter)
			w.setLimit(name)
		}
	}
	return nil
}

// Register adds all functions, or none, also while Run runs. It returns an error after Run has ended.
func (w *Worker) Register(ctx context.Context, functions []*runner.Function) error {
	if err := w.add(functions); err != nil {
		return err
	}
	for _, s := range w.partitions.sessions() {
		if err := s.client.Join(ctx, broker.RoleWorker, s.id, w.card()); err != nil {
			return err
		}
		if err := s.client.SendHint(ctx, s.id, broker.Hint{Kind: broker.HintStages}); err != nil {
			return err
		}
	}
	return nil
}

// function returns the function of a name with its breaker and its limiter, nil if the worker does not
// have it.
func (w *Worker) function(name string) (*runner.Function, *breaker, *limiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.functions[name]
	return f, w.breakers[f], w.limiters[name]
}

// rested reports whether the rest of a function has ended lately.
func (w *Worker) rested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.breakers {
		if b.rested() {
			return true
		}
	}
	return false
}

// functionCards returns the functions of the worker, sorted by their names.
func (w *Worker) functionCards() []broker.FunctionCard {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]broker.FunctionCard, 0, len(w.functions))
	for name, f := range w.functions {
		list = append(list, broker.FunctionCard{
			Name: name, In: f.In.Type, InCodec: f.In.Codec, Out: f.Out.Type, OutCodec: f.Out.Codec, Version: f.Version,
			Filter: f.Filter, FlatMap: f.FlatMap,
		})
	}
	slices.SortFunc(list, func(a, b broker.FunctionCard) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// card returns the description of the worker for other processes.
func (w *Worker) card() map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	functions, err := json.Marshal(w.functionCards())
	if err != nil {
		functions = []byte("[]")
	}
	return map[string]string{
		"host": host, "pid": strconv.Itoa(os.Getpid()), "concurrency": strconv.FormatInt(w.concurrency.Load(), 10), "functions": string(functions),
		"tags": strings.Join(w.Tags, ","), "version": connection.Version(), "started": strconv.FormatInt(w.started.UnixMilli(), 10),
		"lease": strconv.FormatInt(w.Connection.Lease.Milliseconds(), 10),
	}
}

// Ready returns a channel that is closed when the worker has joined every partition.
func (w *Worker) Ready() <-chan struct{} { return w.partitions.ready }

// Run works in all partitions until ctx ends, and then drains. workers.Worker.Run documents it.
func (w *Worker) Run(ctx context.Context) error {
	if !w.setProgress(notRun, running) {
		return errRunTwice
	}
	defer w.setProgress(running, ended)
	defer context.AfterFunc(ctx, func() { w.stopping.Store(true) })()
	if w.owned {
		defer w.Client.Close()
		err := w.Client.Connect(ctx, connection.PingLimit)
		if err == nil {
			err = w.Client.Writable(ctx, connection.PingLimit)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
	parts := w.Client.Partitions()
	var g *gate
	if len(parts) > 1 || w.Tuning != nil {
		g = newGate(w.Concurrency)
	}
	w.partitions.open(parts, g)
	w.partitions.resize(int(w.concurrency.Load())) // Tuning.Set may have run before
	defer w.receive(ctx)()
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error { return w.serve(ctx, part) })
	}
	return group.Wait()
}

// receive waits for the hints of all partitions on one connection, if that is possible, until end is called.
func (w *Worker) receive(ctx context.Context) (end func()) {
	if w.mailboxes = w.Client.MailboxReader(w.Client.Patience(readWait)); w.mailboxes == nil {
		return func() {}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var receiving sync.WaitGroup
	receiving.Go(func() { w.mailboxes.Run(ctx) })
	return func() {
		stop()
		receiving.Wait()
	}
}

// serve works in a partition, in one session after another.
func (w *Worker) serve(ctx context.Context, part *broker.Client) error {
	for ctx.Err() == nil {
		err := w.runSession(ctx, part)
		if !errors.Is(err, broker.ErrFenced) {
			return err
		}
		if ctx.Err() != nil { // the worker has left while a heartbeat was in flight
			return nil
		}
		w.Connection.Log.WarnContext(ctx, "the lease ran out and other processes declared this worker dead; it goes on with a new identity", "err", err)
	}
	return nil
}
