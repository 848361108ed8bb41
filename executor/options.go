package executor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/workers"
)

// An Option changes what New or NewInspector makes.
type Option func(*handle.Settings) error

// settingsOf applies the options of a call to the defaults.
func settingsOf(call string, opts []Option) (handle.Settings, error) {
	s := handle.Settings{Connection: connection.Default(), Concurrency: defaultConcurrency}
	for _, o := range opts {
		if o == nil {
			return s, fmt.Errorf("%s: %w", call, errNoOption)
		}
		if err := o(&s); err != nil {
			return s, fmt.Errorf("executor: %w", err)
		}
	}
	return s, nil
}

// Concurrency sets the number of slots of this process: the items that it works on at the same time
// once it has functions of its own, see Executor.Register. The default is 4. n must be at least 1.
func Concurrency(n int) Option {
	return func(s *handle.Settings) error {
		if n < 1 {
			return fmt.Errorf("Concurrency(%d): it must be at least 1", n)
		}
		s.Concurrency = n
		return nil
	}
}

// Use adds a middleware around each call of a function in this process, see workers.Use. The first
// Use is the outermost one. The first Register calls middleware, or New for the embedded broker; it
// returns an error if middleware panics or returns nil. nil is an error of New. The default is no
// middleware. An Inspector ignores it.
func Use(middleware func(next workers.Handler) workers.Handler) Option {
	return func(s *handle.Settings) error {
		if middleware == nil {
			return errors.New("Use(nil): pass a function")
		}
		s.Worker = append(s.Worker, workers.Use(middleware))
		return nil
	}
}

// Logger sets the logger of the Executor or Inspector. It gets warnings above all, such as a
// function that no worker has or a Redis that does not answer. The default is slog.Default() as it
// is when New or NewInspector is called, from slog.LevelWarn on. Logger(nil) discards all.
func Logger(log *slog.Logger) Option {
	return func(s *handle.Settings) error {
		s.Connection.SetLogger(log)
		return nil
	}
}

// Auth sets the user and the password for Redis, in place of those in the address. No log and no
// error shows them.
func Auth(user, password string) Option {
	return func(s *handle.Settings) error {
		s.Connection.SetAuth(user, password)
		return nil
	}
}

// Dialer sets the function that connects to an address of Redis, for example through a tunnel. The
// default is a plain or TLS connection, as the address says.
func Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(s *handle.Settings) error {
		s.Connection.SetDialer(dial)
		return nil
	}
}

// Replicas lets a scatter count an item as stored only when n replicas of Redis have it. The
// default is 0; n must be at least 1. Flush and MaxInFlight wait for the replicas. If another
// server takes over before, the item is sent again. Each send costs a round trip to the replicas. A
// stored item survives a failover if the promoted replica is one of the n that confirmed it; with n
// equal to the number of replicas this always holds. New returns an error on the embedded broker,
// which has no replicas.
func Replicas(n int) Option {
	return func(s *handle.Settings) error {
		if n < 1 {
			return fmt.Errorf("Replicas(%d): it must be at least 1", n)
		}
		s.Connection.Replicas = n
		return nil
	}
}

// Partitions sets the number of partitions over which the flows of the namespace are spread, like
// ?partitions=n in the address: 1 to 64, default 1. Each Executor makes its flows in one partition,
// whose keys are in one slot of a Redis Cluster. The first client of a namespace fixes the number.
// Later clients and workers read it; for another number, New returns ErrPartitions.
func Partitions(n int) Option {
	return func(s *handle.Settings) error {
		if err := broker.CheckPartitions(n); err != nil {
			return fmt.Errorf("Partitions(%d): %w", n, err)
		}
		s.Connection.Partitions = n
		return nil
	}
}

// TLS sets the TLS configuration, in place of the one that the address implies.
func TLS(config *tls.Config) Option {
	return func(s *handle.Settings) error {
		s.Connection.SetTLS(config)
		return nil
	}
}

// Lease sets the time without a heartbeat after which other processes declare this process dead.
// The default is 10 seconds, and d must be at least 100 ms. All processes of a fleet must have the
// same lease.
func Lease(d time.Duration) Option {
	return func(s *handle.Settings) error { return s.Connection.SetLease(d) }
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
	limits  broker.Limits
	replace bool   // the stage that the in-queue has
	insert  bool   // in front of the stage that the in-queue has
	counted bool   // the queue that the call makes has counts
	tags    string // sorted, with commas between
	codec   workers.Codec
}

// A MapOption is an option of Map, Map2, Multiplex and package flow.
type MapOption interface{ applyMap(*stageOptions) error }

// A StageOption is an option of Submit and MapSlice. It is a MapOption too.
type StageOption func(*stageOptions) error

func (o StageOption) applyMap(s *stageOptions) error { return o.apply(s) }

func (o StageOption) apply(s *stageOptions) error {
	if o == nil {
		return errNoOption
	}
	return o(s)
}

type mapOption func(*stageOptions) error

func (o mapOption) applyMap(s *stageOptions) error { return o(s) }

// MaxSize bounds the number of items that wait in the queue that the call makes; workers stop
// before a full queue. For Submit and MapSlice it bounds the queue in front of the function, and
// these calls wait while it is full. The default is no bound. items must be at least 1.
func MaxSize(items int) StageOption {
	return func(s *stageOptions) error {
		if items < 1 {
			return fmt.Errorf("executor: MaxSize(%d): it must be at least 1", items)
		}
		s.bounds.Max = int64(items)
		return nil
	}
}

// MaxBytes bounds the encoded bytes that wait in the queue that the call makes, like MaxSize. The
// default is 64 MiB. An empty queue takes one item of any size. bytes must be at least 1.
func MaxBytes(bytes int64) StageOption {
	return func(s *stageOptions) error {
		if bytes < 1 {
			return fmt.Errorf("executor: MaxBytes(%d): it must be at least 1", bytes)
		}
		s.bounds.MaxBytes = bytes
		return nil
	}
}

// Retries sets the number of further attempts for an item whose function returned an error,
// panicked or took longer than its timeout. The default is 0. An item waits before each further
// attempt while other items go on, see Backoff. An error from workers.Permanent ends the attempts.
//
// A free worker other than the one whose attempt failed takes the item first. If each call of the
// function fails on one worker, and calls for the same items succeed on others, that worker calls
// the function rarely until a call succeeds.
func Retries(n int) StageOption {
	return func(s *stageOptions) error {
		if n < 0 {
			return fmt.Errorf("executor: Retries(%d): it must not be negative", n)
		}
		s.retries = n
		return nil
	}
}

// Backoff sets the pause before the second attempt of an item, and the longest pause: each further
// pause is twice as long as the one before, up to longest. The defaults are 100 ms and 30 s. Each
// pause varies at random by up to a quarter. first must be above 0, and longest at least first.
func Backoff(first, longest time.Duration) StageOption {
	return func(s *stageOptions) error {
		if first <= 0 || longest < first {
			return fmt.Errorf("executor: Backoff(%v, %v): the first must be above 0, the longest not below it", first, longest)
		}
		s.backoff, s.longest = first, longest
		return nil
	}
}

// Tags lets only workers run the stage that have all of the tags, see workers.Tags. Workers of an
// earlier version of this module leave such a stage alone. Until there is a worker with the function
// and the tags, the items wait. The functions of this process have no tags. Multiplex ignores the
// option. There must be at least one tag. ErrInvalidName: a tag is not a valid name.
func Tags(tags ...string) StageOption {
	return func(s *stageOptions) error {
		valid, err := broker.CheckTags(tags)
		if err == nil && len(tags) == 0 {
			err = errors.New("there must be at least one")
		}
		if err != nil {
			return fmt.Errorf("executor: Tags: %w", err)
		}
		s.tags = strings.Join(valid, ",")
		return nil
	}
}

// Timeout bounds the time of one call of the function for one item: the context of the call ends
// after d. The default is no bound. If the function does not return within half a second after
// that, the item fails in its place, the slot goes on with other items, and the call is left
// behind: inspect.Worker.Stuck counts it. A worker with 1,000 such calls of a function does not call
// that function any more. d must be above 0.
func Timeout(d time.Duration) StageOption {
	return func(s *stageOptions) error {
		if d <= 0 {
			return fmt.Errorf("executor: Timeout(%v): it must be above 0", d)
		}
		s.timeout = d
		return nil
	}
}

// NoFuse keeps a stage apart from the stages before and after it. By default, a worker that has the
// functions of two consecutive stages calls them one after the other, and the items do not go
// through the queue between them; this does not happen if that queue has a MaxSize or the second
// stage has Retries. The results are the same.
func NoFuse() MapOption {
	return mapOption(func(s *stageOptions) error {
		s.noFuse = true
		return nil
	})
}

// Name names the queue that a stage adds to. A named queue stays until it is deleted, and other
// processes reach it with Open. ErrInvalidName: the name is not a valid one.
func Name(queue string) MapOption {
	return mapOption(func(s *stageOptions) error {
		s.name = queue
		return broker.CheckName("queue", queue)
	})
}

// ReplaceStage lets Map replace the stage of another function that the queue has, for example after
// the function was renamed. The backlog stays: the new function gets all items that the old one has
// not finished. The contexts of running calls of the old function end, and their items go to the
// new function. The new stage adds to the out-queue of the old one, which must hold the same type.
//
// With Name, the new stage adds to another out-queue, and the old out-queue gets no more items. A
// gather of the old out-queue delivers the items that it holds and then ends with ErrStageReplaced.
// So does a gather behind further stages; a later gather delivers the items that these stages have
// not finished by then. A gather of the new out-queue reports an item as ErrLost if the old
// function has finished it and no gather had delivered it before.
func ReplaceStage() MapOption {
	return mapOption(func(s *stageOptions) error {
		s.replace = true
		return nil
	})
}

// An OpenOption is an option of Open.
type OpenOption func(*stageOptions) error

func (o OpenOption) apply(s *stageOptions) error {
	if o == nil {
		return errNoOption
	}
	return o(s)
}

// WithCodec opens a queue whose items have a codec of the user's own. By default, Open uses the
// codec that the queue names: raw, JSON or MessagePack.
func WithCodec(c workers.Codec) OpenOption {
	return func(s *stageOptions) error {
		s.codec = c
		return nil
	}
}

// tagList returns the tags of the stage.
func (s stageOptions) tagList() []string { return splitTags(s.tags) }

// splitTags returns the tags of a text with commas between.
func splitTags(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
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

func submitOptions(call string, opts []StageOption) (stageOptions, error) {
	return optionsOf(call, opts, StageOption.apply)
}
