package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	defaultConcurrency = 4
	closeLimit         = 5 * time.Second // of the deletion of keys in Close, in each partition
)

// An Executor is a connection to a fleet of workers. It makes queues and stages, and calls single
// functions. Queues and stages without a name go with the Executor: Close deletes them. All methods
// may be called from many goroutines. The caller closes it.
type Executor struct {
	inspector
	id     string
	log    *slog.Logger
	lease  time.Duration
	conn   *broker.Client   // to all partitions
	server *embedded.Server // nil unless the broker is embedded
	home   *partition       // the partition in which the Executor makes its queues
	others partitions       // partitions in which it uses queues of other processes
	tasks  lifecycle
	closed chan struct{} // closed by Close
	local  localWorker
	counts struct{ workers, threads atomic.Int64 }
}

// New connects to the Redis at an address and returns an Executor, which lives until Close. The
// address has one of these forms:
//
//	""                                       embedded: a broker and 4 slots in this process
//	redis://user:password@host:6379/0        rediss:// with TLS
//	unix:///run/redis.sock
//	redis+sentinel://h1:26379,h2:26379/name  rediss+sentinel:// with TLS
//	redis+cluster://h1:7000,h2:7001          rediss+cluster:// with TLS
//
// An address other than "" may end with ?ns=NAME, which selects a namespace ("dq" by default), and
// with ?partitions=N, see Partitions. ctx bounds New alone.
//
// Errors: ErrInvalidURL for another form. ErrUnreachable if no server answers within 5 seconds.
// ErrUnusable, at once, if waiting does not help: a wrong password, a user without rights, TLS at
// one end only, a Redis that is too old, a single node of a Cluster. ErrPartitions if the namespace
// has another number of partitions.
func New(ctx context.Context, redisURL string, opts ...Option) (*Executor, error) {
	if ctx == nil {
		return nil, fmt.Errorf("new executor: %w", errNoContext)
	}
	s, err := settingsOf("new executor", opts)
	if err != nil {
		return nil, err
	}
	ex := &Executor{id: uuid.NewString(), log: s.Connection.Log, lease: s.Connection.Lease, closed: make(chan struct{})}
	ex.local.concurrency = s.Concurrency
	for _, o := range s.Worker {
		ex.local.options = append(ex.local.options, o)
	}
	if err := ex.connect(ctx, redisURL, s.Connection); err != nil {
		return nil, err
	}
	ex.inspector = inspector{ex.conn.Partitions(), ex.lease, &ex.tasks}
	ex.home = newPartition(ex, ex.conn.PartitionOf(ex.id))
	err = ex.home.start(ctx)
	if err == nil && ex.server != nil {
		err = ex.Register()
	}
	if err == nil {
		err = ex.countWorkers(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, ex.Close())
	}
	return ex, nil
}

func (ex *Executor) connect(ctx context.Context, redisURL string, s connection.Settings) (err error) {
	if redisURL == "" && s.Replicas > 0 {
		return fmt.Errorf("executor: Replicas(%d): the embedded broker has none: give the address of a Redis that has", s.Replicas)
	}
	if redisURL == "" {
		ex.server = embedded.New()
		redisURL = fmt.Sprintf("redis://127.0.0.1:6379?partitions=%d", max(1, s.Partitions))
		s.Options = broker.Options{Log: ex.log, Dialer: ex.server.Dial, Tracer: s.Tracer, Meter: s.Meter, InProcess: true}
	}
	if ex.conn, err = s.Connect(ctx, redisURL); err == nil {
		if err = ex.conn.Writable(ctx, connection.PingLimit); err != nil {
			_ = ex.conn.Close()
		}
	}
	if err != nil && ex.server != nil {
		ex.server.Close()
	}
	return err
}

// countWorkers counts the live workers and their slots, for String.
func (ex *Executor) countWorkers(ctx context.Context) error {
	began := time.Now()
	live, err := ex.home.c.Processes(ctx, broker.RoleWorker, ex.lease)
	if err != nil {
		return err
	}
	ex.home.fleet.set(live, began)
	threads := 0
	for _, p := range live {
		n, err := strconv.Atoi(p.Card["concurrency"])
		if err == nil {
			threads += n
		}
	}
	ex.counts.workers.Store(int64(len(live)))
	ex.counts.threads.Store(int64(threads))
	return nil
}

// String returns for example "<Executor: scheduler=127.0.0.1:6379 workers=1 threads=4>". It counts
// the live workers and their slots, at most one lease ago (see Lease). The scheduler of an embedded
// broker is empty.
func (ex *Executor) String() string {
	if ex.check("") != nil {
		return "<Executor: none>"
	}
	scheduler := ""
	if ex.server == nil {
		_, scheduler, _ = strings.Cut(ex.home.c.String(), "://")
		scheduler = strings.TrimSuffix(scheduler, "/")
	}
	return fmt.Sprintf("<Executor: scheduler=%s workers=%d threads=%d>", scheduler, ex.counts.workers.Load(), ex.counts.threads.Load())
}

// Register makes this process run functions too, in slots of its own (see Concurrency). It returns
// once this process can run them. The functions come from workers.Define or workers.DefineBatch. If
// one of them is refused, none is registered. On an embedded broker a function must be registered
// before Map or Submit uses it, since no other process runs functions there. Errors: ErrClosed, and
// the error of a function that is defined badly.
func (ex *Executor) Register(functions ...workers.Function) error {
	if err := ex.check("register"); err != nil {
		return err
	}
	return ex.home.within(func(life context.Context) (err error) {
		ctx, end, err := ex.begin(life, "register")
		if err != nil {
			return err
		}
		defer end(&err)
		if err := ex.local.register(ctx, ex, functions); err != nil {
			return err
		}
		return ex.countWorkers(ctx)
	})
}

// Close ends all work of the Executor, deletes the queues that it made without a name, and returns
// when no goroutine and no key of it is left. Calls that are under way and later calls return
// ErrClosed. If Redis does not answer, Close returns an error after 5 seconds for each partition
// that the Executor uses; other processes delete its keys once its lease has run out. A second
// Close returns nil at once.
func (ex *Executor) Close() error {
	if err := ex.check("close"); err != nil {
		return err
	}
	if !ex.tasks.close() {
		return nil
	}
	close(ex.closed)
	err := errors.Join(ex.others.close(), ex.local.stop(), ex.home.close(), ex.conn.Close())
	if ex.server != nil {
		ex.server.Close()
	}
	return err
}

// A localWorker is the worker in this process, from the first Register on.
type localWorker struct {
	concurrency int
	options     []workers.Option

	mu     sync.Mutex // held by register
	worker *workers.Worker
	cancel context.CancelFunc
	run    errgroup.Group

	names sync.Map // of the functions that were registered
}

// registered returns ErrFunctionNotRegistered if no worker can ever have a function, since no other
// process uses an embedded broker. It returns ErrClosed for a closed Executor.
func (ex *Executor) registered(function string) error {
	if _, known := ex.local.names.Load(function); known || ex.server == nil {
		return nil
	}
	if ex.tasks.isClosed() {
		return ErrClosed
	}
	return fmt.Errorf("function %q: %w: the embedded broker runs only functions of this process, call Register with it first",
		function, ErrFunctionNotRegistered)
}

// register lets the worker run functions, and starts it with the first ones.
func (l *localWorker) register(ctx context.Context, ex *Executor, functions []workers.Function) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.start(ctx, ex, functions); err != nil {
		return err
	}
	for _, function := range functions {
		l.names.Store(function.Name(), nil)
	}
	return nil
}

// on makes a worker use a client, which stays open when its Run ends.
func on(c *broker.Client) workers.Option {
	return func(o *worker.Options) error {
		o.Client = c
		return nil
	}
}

func (l *localWorker) start(ctx context.Context, ex *Executor, functions []workers.Function) error {
	if l.worker != nil {
		return l.worker.Register(ctx, functions...)
	}
	opts := append(slices.Clone(l.options), on(ex.conn), workers.Concurrency(l.concurrency), workers.Functions(functions...),
		workers.Logger(ex.log), workers.Lease(ex.lease), workers.DrainTimeout(0))
	w, err := workers.New("", opts...)
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	l.run.Go(func() error {
		err := w.Run(running)
		ended <- err
		return err
	})
	select {
	case <-w.Ready(): //nolint:contextcheck // it does not wait
		l.worker, l.cancel = w, cancel
		return nil
	case err := <-ended:
		cancel()
		return err
	case <-ctx.Done():
		cancel()
		return errors.Join(context.Cause(ctx), <-ended)
	}
}

// stop ends the worker. No Register is under way.
func (l *localWorker) stop() error {
	if l.worker == nil {
		return nil
	}
	l.cancel()
	return l.run.Wait()
}
