package executor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/logging"
	"github.com/dqbridge/dqbridge/workers"
)

// Option changes what New makes.
type Option func(*settings) error

type settings struct {
	connection  broker.Options
	concurrency int
	log         *slog.Logger
	lease       time.Duration
}

// settingsOf applies the options of a call to the defaults.
func settingsOf(call string, opts []Option) (settings, error) {
	s := settings{concurrency: defaultConcurrency, lease: defaultLease, log: logging.Default()}
	for _, o := range opts {
		if o == nil {
			return s, fmt.Errorf("%s: %w", call, errNoOption)
		}
		if err := o(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Concurrency is how many items this process runs at once when it has functions of
// its own, see Register; 4 if it is not given.
func Concurrency(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("executor: Concurrency(%d): it must be at least 1", n)
		}
		s.concurrency = n
		return nil
	}
}

// Logger sets the logger of the Executor or Inspector, for warnings above all: a function that
// no worker has, a Redis that does not answer. The default is slog.Default(), as it is when New or
// NewInspector is called, from slog.LevelWarn on. Logger(nil) is silent.
func Logger(log *slog.Logger) Option {
	return func(s *settings) error {
		s.log = logging.OrSilent(log)
		return nil
	}
}

// Auth is the user and the password for Redis, instead of those in the address.
// Neither shows in a log or an error.
func Auth(user, password string) Option {
	return func(s *settings) error {
		s.connection.Username, s.connection.Password = user, password
		return nil
	}
}

// Dialer is how to connect to an address of Redis, for example through a
// tunnel; the network and TLS stand as they are if it is not given.
func Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(s *settings) error {
		s.connection.Dialer = dial
		return nil
	}
}

// Replicas lets a scatter count an item as stored only when n replicas have it. The default is 0. Flush and
// MaxInFlight wait for the replicas; if another server takes over meanwhile, the item is sent again. Replicas
// costs a round trip to the replicas for each send. A stored item survives a failover if the promoted replica is
// one of the n that confirmed it; with n equal to the number of replicas this always holds. The embedded broker
// has no replicas.
func Replicas(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("executor: Replicas(%d): it must be at least 1", n)
		}
		s.connection.Replicas = n
		return nil
	}
}

// Partitions is the number of partitions over which the flows of the namespace are spread, like
// ?partitions=n in the address: 1 to 64, default 1. Each Executor makes its flows in one partition, whose keys
// are in one slot of a Redis Cluster. The first client of a namespace fixes the number. Later clients, also
// workers, read it; passing another number returns ErrPartitions.
func Partitions(n int) Option {
	return func(s *settings) error {
		if err := broker.CheckPartitions(n); err != nil {
			return fmt.Errorf("executor: Partitions(%d): %w", n, err)
		}
		s.connection.Partitions = n
		return nil
	}
}

// TLS sets the configuration of TLS, in place of the one that the address implies.
func TLS(config *tls.Config) Option {
	return func(s *settings) error {
		s.connection.TLS = config
		return nil
	}
}

// Lease is after how long without a heartbeat others take this process for
// dead: 10 seconds if it is not given, at least 100 ms. It should be the same
// in the whole fleet.
func Lease(d time.Duration) Option {
	return func(s *settings) error {
		if d < 100*time.Millisecond {
			return fmt.Errorf("executor: Lease(%v): it must be at least 100ms", d)
		}
		s.lease = d
		return nil
	}
}

// stageOptions holds the options of a stage.
type stageOptions struct {
	name    string
	owner   string // of the queue of that name, if it is there and goes with an Executor
	bounds  broker.Bounds
	retries int
	backoff time.Duration // before the second attempt
	longest time.Duration // pause between attempts
	timeout time.Duration
	noFuse  bool
	replace bool // the stage that the in-queue has
	codec   workers.Codec
}

// MapOption changes what Map, Map2, Multiplex and Merge make.
type MapOption interface{ applyMap(*stageOptions) error }

// SubmitOption changes what Submit and MapSlice do.
type SubmitOption interface{ applySubmit(*stageOptions) error }

// StageOption is one for both.
type StageOption func(*stageOptions) error

func (o StageOption) applyMap(s *stageOptions) error    { return o.apply(s) }
func (o StageOption) applySubmit(s *stageOptions) error { return o.apply(s) }

func (o StageOption) apply(s *stageOptions) error {
	if o == nil {
		return errNoOption
	}
	return o(s)
}

type mapOption func(*stageOptions) error

func (o mapOption) applyMap(s *stageOptions) error { return o(s) }

// MaxSize is how many items may wait in the queue that the call makes: workers
// stop before a full one. With Submit it is the queue before the function, and
// Submit waits. There is no bound by number if it is not given.
func MaxSize(items int) StageOption {
	return func(s *stageOptions) error {
		if items < 1 {
			return fmt.Errorf("executor: MaxSize(%d): it must be at least 1", items)
		}
		s.bounds.Max = int64(items)
		return nil
	}
}

// MaxBytes is how many bytes may wait in the queue that the call makes, encoded;
// 64 MiB if it is not given. It stops like MaxSize. One item always enters an
// empty queue, however large it is.
func MaxBytes(bytes int64) StageOption {
	return func(s *stageOptions) error {
		if bytes < 1 {
			return fmt.Errorf("executor: MaxBytes(%d): it must be at least 1", bytes)
		}
		s.bounds.MaxBytes = bytes
		return nil
	}
}

// Retries is how many further attempts the fleet makes with an item whose
// function returned an error, panicked or took too long; none if it is not
// given. An item waits before each, see Backoff, while others run. An error
// that workers.Permanent made ends the attempts. A free worker other than the
// one whose attempt failed goes first, and a worker whose every call fails
// while others succeed with the same items runs the function rarely until one
// of its calls succeeds.
func Retries(n int) StageOption {
	return func(s *stageOptions) error {
		if n < 0 {
			return fmt.Errorf("executor: Retries(%d): it must not be negative", n)
		}
		s.retries = n
		return nil
	}
}

// Backoff is how long an item waits before its second attempt, and the longest
// pause, to which it doubles with each further one: 100 ms and 30 s if it is not
// given. Each pause is up to a quarter longer or shorter, by chance.
func Backoff(first, longest time.Duration) StageOption {
	return func(s *stageOptions) error {
		if first <= 0 || longest < first {
			return fmt.Errorf("executor: Backoff(%v, %v): the first must be above 0, the longest not below it", first, longest)
		}
		s.backoff, s.longest = first, longest
		return nil
	}
}

// Timeout is after how long the context of a function that runs on one item
// ends; there is none if it is not given. A function that does not return
// within half a second after that fails the item in its place, the slot goes on
// with others, and the call is left behind: Workers counts it as Stuck. A worker
// in which 1,000 calls of a function are left behind does not call it.
func Timeout(d time.Duration) StageOption {
	return func(s *stageOptions) error {
		if d <= 0 {
			return fmt.Errorf("executor: Timeout(%v): it must be above 0", d)
		}
		s.timeout = d
		return nil
	}
}

// NoFuse keeps a stage apart from those before and behind it. Otherwise a worker
// that has the functions of two stages runs them one after the other, and what
// the first one makes does not go through the queue between: unless that has a
// MaxSize or the second one Retries. The results are the same.
func NoFuse() MapOption {
	return mapOption(func(s *stageOptions) error {
		s.noFuse = true
		return nil
	})
}

// Name gives the queue that a stage writes to a name of its own. It stays until
// it is deleted, and other processes reach it with Open.
func Name(queue string) MapOption {
	return mapOption(func(s *stageOptions) error {
		s.name = queue
		return broker.CheckName("queue", queue)
	})
}

// ReplaceStage lets Map replace the stage of another function that the queue has, for
// example after the function was renamed. The backlog stays: the new function gets all
// items that the old one has not finished, also those that it was called with, whose
// context ends. The new stage adds to the out-queue of the old one, which has to hold the
// same type.
//
// With Name, the new stage adds to another out-queue. The old out-queue gets no more items: its
// gather, also one that begins later, brings those that it holds and ends with
// ErrStageReplaced. So does the gather of a queue behind further stages: what these stages have not
// finished then, a gather that begins later brings. A gather of the new one reports items that the old function has finished and
// that were not delivered before as ErrLost.
func ReplaceStage() MapOption {
	return mapOption(func(s *stageOptions) error {
		s.replace = true
		return nil
	})
}

// OpenOption changes what Open does.
type OpenOption func(*stageOptions) error

func (o OpenOption) apply(s *stageOptions) error {
	if o == nil {
		return errNoOption
	}
	return o(s)
}

// WithCodec opens a queue whose items have a format of the user's own.
func WithCodec(c workers.Codec) OpenOption {
	return func(s *stageOptions) error {
		s.codec = c
		return nil
	}
}

// optionsOf applies the options of a call, each by apply.
func optionsOf[O any](call string, opts []O, apply func(O, *stageOptions) error) (s stageOptions, err error) {
	for _, o := range opts {
		err := errNoOption
		if any(o) != nil {
			err = apply(o, &s)
		}
		if errors.Is(err, errNoOption) {
			return s, fmt.Errorf("%s: %w", call, err)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func mapOptions(call string, opts []MapOption) (stageOptions, error) {
	return optionsOf(call, opts, MapOption.applyMap)
}

func submitOptions(call string, opts []SubmitOption) (stageOptions, error) {
	return optionsOf(call, opts, SubmitOption.applySubmit)
}
