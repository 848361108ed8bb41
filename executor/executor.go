package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	defaultConcurrency = 4
	defaultLease       = 10 * time.Second
	pingLimit          = 5 * time.Second
	// closing is how long it may take to clean up when an Executor ends.
	closing = 5 * time.Second
)

// An Executor is a connection to a fleet: it makes queues and stages, and what
// it makes without a name goes with it. Its methods can be called from many
// goroutines. Close it.
type Executor struct {
	settings
	inspector
	id      string
	conn    *broker.Client // of all partitions
	c       *broker.Client // of its own partition
	parent  *Executor      // that this one is a seat of, nil for all others
	seats   seats
	server  *embedded.Server // nil where Redis is
	mailbox *mailbox
	flows   flows
	tasks   lifecycle
	ends    finished
	owed    *obligations
	submits submitters
	counts  struct{ workers, threads atomic.Int64 }

	life  errgroup.Group // mailbox, lease and the goroutines below
	calls chan call      // to the goroutine that owns the life's context

	fleet fleet // that goroutine only
}

// A call is done by the goroutine that owns the context of an Executor's life,
// for methods that get none.
type call struct {
	do   func(context.Context) error
	done chan error
}

// New connects to the Redis at an address, one of
//
//	""                                       embedded: a broker and 4 slots in this process
//	redis://user:password@host:6379/0        rediss:// with TLS
//	unix:///run/redis.sock
//	redis+sentinel://h1:26379,h2:26379/name  rediss+sentinel:// with TLS
//	redis+cluster://h1:7000,h2:7001          rediss+cluster:// with TLS
//
// each with ?ns=NAME for a namespace of its own, "dq" if it is not given, and
// ?partitions=N, see Partitions. It
// returns ErrInvalidURL for another form, ErrUnreachable if no server answers within 5 seconds, and at
// once ErrUnusable for what waiting does not change: a wrong password, a user without rights,
// TLS at one end only, a Redis that is too old, one node of a Cluster. ctx bounds New alone; the
// Executor lives until Close.
func New(ctx context.Context, redisURL string, opts ...Option) (*Executor, error) {
	if ctx == nil {
		return nil, fmt.Errorf("new executor: %w", errNoContext)
	}
	s, err := settingsOf("new executor", opts)
	if err != nil {
		return nil, err
	}
	ex := &Executor{settings: s, id: uuid.NewString(), calls: make(chan call)}
	if err := ex.connect(ctx, redisURL); err != nil {
		return nil, err
	}
	ex.inspector = inspector{ex.conn.Partitions(), ex.lease, &ex.tasks}
	ex.mailbox, ex.owed = newMailbox(ex.c, ex.id, ex.log), newObligations(ex.lease, ex.log)
	ex.flows.look = ex.lookAt
	if err := ex.start(ctx); err != nil {
		return nil, errors.Join(err, ex.Close())
	}
	return ex, nil
}

func (ex *Executor) connect(ctx context.Context, redisURL string) (err error) {
	if redisURL == "" && ex.connection.Replicas > 0 {
		return fmt.Errorf("executor: Replicas(%d): the embedded broker has none: give the address of a Redis that has", ex.connection.Replicas)
	}
	ex.connection.Log = ex.log
	if redisURL == "" {
		ex.server = embedded.New()
		redisURL = fmt.Sprintf("redis://127.0.0.1:6379?partitions=%d", max(1, ex.connection.Partitions))
		ex.connection = broker.Options{Log: ex.log, Dialer: ex.server.Dial, InProcess: true}
	}
	if ex.conn, err = broker.Open(redisURL, ex.connection); err == nil {
		if err = ex.conn.Connect(ctx, pingLimit); err == nil {
			err = ex.conn.Writable(ctx, pingLimit)
		}
		if err != nil {
			_ = ex.conn.Close()
		}
	}
	if err != nil && ex.server != nil {
		ex.server.Close()
	}
	if err == nil {
		ex.c = ex.conn.PartitionOf(ex.id)
	}
	return err
}

func (ex *Executor) start(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	card := map[string]string{"host": host, "pid": strconv.Itoa(os.Getpid())}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ex.life.Go(func() error {
		defer stop()
		for call := range ex.calls {
			call.done <- call.do(life)
		}
		return nil
	})
	ex.life.Go(func() error { ex.owed.run(life); return nil })
	if err := ex.c.Join(ctx, broker.RoleExecutor, ex.id, card); err != nil {
		return fmt.Errorf("connect to %s: %w", ex.c, err)
	}
	lease := ex.c.Lease(broker.RoleExecutor, ex.id, ex.lease)
	reader := lease.Reader(mailboxWait)
	ex.life.Go(func() error { ex.mailbox.listen(life, reader); return nil })
	ex.life.Go(func() error { ex.beat(life, lease, card); return nil })
	ex.life.Go(func() error { ex.tend(life); return nil })
	if ex.server != nil {
		if err := ex.Register(); err != nil {
			return err
		}
	}
	return ex.count(ctx)
}

// call has something done within the life of the Executor.
func (ex *Executor) call(do func(context.Context) error) error {
	c := call{do, make(chan error, 1)}
	ex.calls <- c
	return <-c.done
}

// beat renews the lease, and joins again if this process was declared dead: its queues
// have a time of grace. It has no other work, since a late heartbeat is a death.
func (ex *Executor) beat(ctx context.Context, lease *broker.Lease, card map[string]string) {
	defer lease.Close()
	for lease.Wait(ctx) {
		_, err := lease.Beat(ctx)
		fenced := errors.Is(err, broker.ErrFenced)
		if fenced && ex.tasks.over() { // Close has left
			continue
		}
		if fenced {
			ex.log.WarnContext(ctx, "the lease ran out: joining again", "err", err)
			if err = ex.c.Join(ctx, broker.RoleExecutor, ex.id, card); err == nil {
				ex.resume(ex.id)
			}
		}
		if err != nil && ctx.Err() == nil {
			ex.log.WarnContext(ctx, "heartbeat", "err", err)
		}
	}
}

// tend does the work that takes longer the more sources there are, until ctx ends: it stores the ends of
// scatters again, and counts the workers, once a lease.
func (ex *Executor) tend(ctx context.Context) {
	tick := time.NewTicker(ex.lease / broker.Beats)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := ex.confirm(ctx)
		if i%broker.Beats == 0 {
			err = errors.Join(err, ex.count(ctx))
		}
		if err != nil && ctx.Err() == nil {
			ex.log.WarnContext(ctx, "look after an executor", "err", err)
		}
	}
}

func (ex *Executor) count(ctx context.Context) error {
	live, err := ex.c.Processes(ctx, broker.RoleWorker, ex.lease)
	if err != nil {
		return err
	}
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

// String returns for example <Executor: scheduler=127.0.0.1:6379 workers=1
// threads=4>, as of the last lease; the scheduler of an embedded one is
// empty.
func (ex *Executor) String() string {
	if ex.check("") != nil {
		return "<Executor: none>"
	}
	scheduler := ""
	if ex.server == nil {
		_, scheduler, _ = strings.Cut(ex.c.String(), "://")
		scheduler = strings.TrimSuffix(scheduler, "/")
	}
	return fmt.Sprintf("<Executor: scheduler=%s workers=%d threads=%d>", scheduler, ex.counts.workers.Load(), ex.counts.threads.Load())
}

// Register makes this process run functions too, in slots of its own. On the embedded broker
// no other process does, so a function is registered before Map or Submit uses it.
// Functions are made by workers.Define or workers.DefineBatch. If one of them is refused,
// none is registered.
func (ex *Executor) Register(functions ...workers.Function) error {
	if err := ex.check("register"); err != nil {
		return err
	}
	if !ex.tasks.enter() {
		return fmt.Errorf("register: %w", ErrClosed)
	}
	defer ex.tasks.group.Done()
	return ex.call(func(life context.Context) (err error) {
		ctx, end, err := ex.begin(life, "register")
		if err != nil {
			return err
		}
		defer end(&err)
		if err := ex.fleet.register(ctx, ex, functions); err != nil {
			return err
		}
		return ex.count(ctx)
	})
}

// Close stops everything that the Executor does, deletes the queues that it
// made without a name, and returns when no goroutine and no key of it is left.
// Calls that are under way, and all later ones, return ErrClosed. Another Close has no effect.
func (ex *Executor) Close() error {
	if err := ex.check("close"); err != nil {
		return err
	}
	if !ex.tasks.close() {
		return nil
	}
	err := ex.seats.close()
	close(ex.mailbox.closed)
	err = errors.Join(err, ex.call(func(ctx context.Context) error {
		return errors.Join(ex.fleet.stop(), ex.leave(ctx))
	}))
	close(ex.calls)
	_ = ex.life.Wait() // its functions return nil
	if ex.parent == nil {
		err = errors.Join(err, ex.conn.Close())
	}
	if ex.server != nil {
		ex.server.Close()
	}
	return err
}

// leave deletes the keys that go with the Executor. The embedded broker goes with it as a whole.
func (ex *Executor) leave(ctx context.Context) error {
	if ex.server != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	ex.flows.close()
	err := errors.Join(ex.owed.close(ctx), ex.mailbox.forget(ctx))
	owned, failed := ex.c.Owned(ctx, ex.id)
	err = errors.Join(err, failed, ex.c.DeleteOwned(ctx, ex.id, owned))
	if err == nil {
		err = ex.c.Leave(ctx, broker.RoleExecutor, ex.id)
	}
	if err != nil {
		return fmt.Errorf("close executor: what is left goes when its lease has run out: %w", err)
	}
	return nil
}
