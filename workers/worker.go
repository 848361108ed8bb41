package workers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/logging"
)

// Errors for errors.Is.
var (
	// ErrInvalidURL says that an address has no form that is known.
	ErrInvalidURL = broker.ErrInvalidURL
	// ErrUnreachable says that no server answers at an address.
	ErrUnreachable = broker.ErrUnreachable
	// ErrUnusable says that the Redis at an address refuses in a way that waiting does not change:
	// a password, a permission, TLS, its version, or its kind. It is an ErrUnreachable too.
	ErrUnusable = broker.ErrUnusable
	// ErrDenied says that the Redis user lacks a permission; see docs/security.md.
	ErrDenied = broker.ErrDenied
)

const (
	defaultLease = 10 * time.Second
	defaultDrain = 30 * time.Second
	pingLimit    = 5 * time.Second
)

// A Worker runs functions for all programs that use the same Redis and namespace. Its methods
// can be called from many goroutines.
type Worker struct {
	settings
	partitionSet
	owned bool // the client is the worker's

	mu        sync.Mutex // never held across I/O
	functions map[string]*function
	breakers  map[*function]*breaker
	run       progress
}

// progress is how far the one Run of a Worker is.
type progress int

const (
	notRun progress = iota
	running
	ended
)

var (
	errNoWorker  = errors.New("workers: the Worker is nil or a zero value: make it with workers.New")
	errNoContext = errors.New("workers: the context is nil")
	errRunTwice  = errors.New("workers: Run was called before: a Worker runs once, make another one with workers.New")
	errKilled    = errors.New("workers: the test has killed the worker")
	errEnded     = errors.New("workers: the Worker has ended: make another one with workers.New")
)

// check returns an error for arguments that a method of a Worker cannot use.
func (w *Worker) check(ctx context.Context) error {
	switch {
	case w == nil || w.functions == nil:
		return errNoWorker
	case ctx == nil:
		return errNoContext
	}
	return nil
}

// step takes note of how far Run is, if it was at another point before. It reports whether it was.
func (w *Worker) step(from, to progress) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run != from {
		return false
	}
	w.run = to
	return true
}

// New makes a worker for the Redis at an address, which Run connects to; see
// executor.New for the forms of an address. An empty one is ErrInvalidURL, since no
// other process would reach an embedded broker. The functions must have been made
// by Define or DefineBatch, each name once.
func New(redisURL string, opts ...Option) (*Worker, error) {
	w := &Worker{settings: settings{
		concurrency: runtime.GOMAXPROCS(0), lease: defaultLease, drain: defaultDrain, log: logging.Default(),
	}, functions: map[string]*function{}, breakers: map[*function]*breaker{}, partitionSet: newPartitionSet()}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("workers: New: one of the options is nil")
		}
		if err := opt(&w.settings); err != nil {
			return nil, err
		}
	}
	if err := w.add(w.settings.functions); err != nil {
		return nil, err
	}
	if w.client == nil {
		w.connection.Log = w.log
		c, err := broker.Open(redisURL, w.connection)
		if err != nil {
			return nil, err
		}
		w.client, w.owned = c, true
	}
	return w, nil
}

// add adds all of the functions, or none.
func (w *Worker) add(functions []Function) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run == ended {
		return errEnded
	}
	added := maps.Clone(w.functions)
	for _, f := range functions {
		erased, err := runnable(f)
		if err != nil {
			return err
		}
		if old := added[erased.name]; old != nil && old != erased {
			return fmt.Errorf("workers: two functions have the name %q", erased.name)
		}
		added[erased.name] = erased
	}
	for _, f := range added {
		if w.breakers[f] == nil {
			w.breakers[f] = newBreaker()
		}
	}
	w.functions = added
	return nil
}

// runnable returns a function that a worker can run.
func runnable(f Function) (erased *function, err error) {
	defer func() {
		if recover() != nil { // a nil *Func, or a nil Function in a struct
			err = errors.New("workers: a nil function")
		}
	}()
	if f == nil {
		return nil, errors.New("workers: a nil function")
	}
	if err := f.Err(); err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	if erased = f.function(); erased.runner == nil {
		return nil, fmt.Errorf("workers: function %q is a handle made by Remote: a worker needs one made by Define", erased.name)
	}
	return erased, nil
}

// Register adds functions, also to a worker that runs: all of them, or none if one is refused. It is
// an error after Run has ended.
func (w *Worker) Register(ctx context.Context, functions ...Function) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	if err := w.add(functions); err != nil {
		return err
	}
	for _, l := range w.all() {
		if err := l.client.Join(ctx, broker.RoleWorker, l.id, w.card()); err != nil {
			return err
		}
		if err := l.client.SendHint(ctx, l.id, broker.Hint{Kind: broker.HintStages}); err != nil {
			return err
		}
	}
	return nil
}

// function returns the function of a name and the trouble with it, nil if the worker does not hold it.
func (w *Worker) function(name string) (*function, *breaker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.functions[name]
	return f, w.breakers[f]
}

// rested reports whether a function may run again that could not.
func (w *Worker) rested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.breakers {
		if t.rested() {
			return true
		}
	}
	return false
}

// card is the description of the worker that other processes read.
func (w *Worker) card() map[string]string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	w.mu.Lock()
	list := make([]broker.FunctionCard, 0, len(w.functions))
	for name, f := range w.functions {
		list = append(list, broker.FunctionCard{
			Name: name, In: f.in.Type, InCodec: f.in.Codec, Out: f.out.Type, OutCodec: f.out.Codec, Version: f.version,
		})
	}
	w.mu.Unlock()
	slices.SortFunc(list, func(a, b broker.FunctionCard) int { return cmp.Compare(a.Name, b.Name) })
	functions, err := json.Marshal(list)
	if err != nil {
		functions = []byte("[]")
	}
	return map[string]string{
		"host": host, "pid": strconv.Itoa(os.Getpid()), "concurrency": strconv.Itoa(w.concurrency), "functions": string(functions),
	}
}

// Ready is closed when Run has made the worker known to others.
func (w *Worker) Ready() <-chan struct{} {
	if w.check(context.Background()) != nil { //nolint:forbidigo // it takes none
		return nil
	}
	return w.ready
}

// Run works in all partitions until ctx is done. Then it takes no more, lets the functions end
// that run, gives back entries that have not begun, leaves and returns nil. It returns ErrUnreachable
// or ErrUnusable if Redis does not answer or refuses within 5 seconds of the start; later it waits.
// A second call is an error.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	if !w.step(notRun, running) {
		return errRunTwice
	}
	defer w.step(running, ended)
	if w.owned {
		defer w.client.Close()
		err := w.client.Connect(ctx, pingLimit)
		if err == nil {
			err = w.client.Writable(ctx, pingLimit)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
	parts := w.client.Partitions()
	w.open(parts, w.concurrency)
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error { return w.serve(ctx, part) })
	}
	return group.Wait()
}

// serve works in a partition, in one session after the other.
func (w *Worker) serve(ctx context.Context, part *broker.Client) error {
	for ctx.Err() == nil {
		err := w.runSession(ctx, part)
		if !errors.Is(err, broker.ErrFenced) {
			return err
		}
		if ctx.Err() != nil { // the worker has left while a heartbeat was on its way
			return nil
		}
		w.log.WarnContext(ctx, "the lease ran out and others took this worker for dead: it goes on as a new one", "err", err)
	}
	return nil
}
