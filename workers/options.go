package workers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/worker"
)

// Option is an option of New. Concurrency is an option of Define too.
type Option func(*worker.Options) error

// applyDefine makes Concurrency an option of Define. Other options of New are an error of Err.
func (o Option) applyDefine(d *runner.Definition) {
	var own worker.Options
	if o == nil {
		d.Err = errors.New("one of its options is nil")
		return
	}
	err := o(&own)
	if err == nil && own.Concurrency == 0 {
		err = errors.New("it has an option of workers.New other than Concurrency")
	}
	if d.Concurrency = own.Concurrency; err != nil {
		d.Err = err
	}
}

// Concurrency sets the number of calls that the worker runs at once, its slots. It must be at least
// 1; otherwise New returns an error. The default is runtime.GOMAXPROCS(0).
//
// As an option of Define, Define2 and DefineBatch, it sets the number of slots in which one worker
// runs the function at once, for example if all calls share a device. The other slots run other
// functions. By default a function may have all slots. A call that was left behind after its
// timeout does not count. Such a function gets its next entry when a call has ended, one round trip
// later, so it should not be a short one.
func Concurrency(slots int) Option {
	return func(o *worker.Options) error {
		if slots < 1 {
			return fmt.Errorf("workers: Concurrency(%d): it must be at least 1", slots)
		}
		o.Concurrency = slots
		return nil
	}
}

// Tags gives the worker tags, such as the kinds of its hardware or its region. A stage that was made
// with executor.Tags is run only by workers that have all of its tags. Each tag has 1 to 64 of the
// characters A-Z a-z 0-9 . _ -; otherwise New returns an error. By default a worker has none, and
// runs the stages without tags.
func Tags(tags ...string) Option {
	return func(o *worker.Options) (err error) {
		if o.Tags, err = broker.CheckTags(slices.Concat(o.Tags, tags)); err != nil {
			return fmt.Errorf("workers: Tags: %w", err)
		}
		return nil
	}
}

// Functions adds functions that the worker runs. Each needs a name of its own, and a definition by
// Define, Define2 or DefineBatch; otherwise New returns an error.
func Functions(functions ...Function) Option {
	return func(o *worker.Options) error {
		added, err := runnable(functions)
		o.Functions = append(o.Functions, added...)
		return err
	}
}

// Logger sets the logger of the worker. nil discards all messages. The default is slog.Default() at
// the call of New, from slog.LevelWarn on.
func Logger(log *slog.Logger) Option {
	return func(o *worker.Options) error {
		o.Connection.SetLogger(log)
		return nil
	}
}

// Auth sets the user and the password for Redis, in place of those in the address. Logs and errors
// contain neither.
func Auth(user, password string) Option {
	return func(o *worker.Options) error {
		o.Connection.SetAuth(user, password)
		return nil
	}
}

// Dialer sets the function that opens connections to Redis, for example through a tunnel. The
// default is net.Dialer.
func Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *worker.Options) error {
		o.Connection.SetDialer(dial)
		return nil
	}
}

// TLS sets the TLS configuration, in place of the one that the address implies.
func TLS(config *tls.Config) Option {
	return func(o *worker.Options) error {
		o.Connection.SetTLS(config)
		return nil
	}
}

// Lease sets the time without a heartbeat after which other processes declare the worker dead and
// requeue its entries. It must be at least 100 ms; otherwise New returns an error. The default is
// 10 s. All processes of a fleet should have the same lease.
func Lease(d time.Duration) Option {
	return func(o *worker.Options) error {
		if err := o.Connection.SetLease(d); err != nil {
			return fmt.Errorf("workers: %w", err)
		}
		return nil
	}
}

// DrainTimeout sets the time that running calls get when Run has to end, before their contexts end.
// It must not be negative; otherwise New returns an error. The default is 30 s.
func DrainTimeout(d time.Duration) Option {
	return func(o *worker.Options) error {
		if d < 0 {
			return fmt.Errorf("workers: DrainTimeout(%v): it must not be negative", d)
		}
		o.Drain = d
		return nil
	}
}

// PauseIf makes the worker begin no call while reason returns an error, for example because its
// machine has too little memory. Running calls go on. Items whose call has not begun go back to the
// queue, and no attempt counts. Several goroutines call reason before calls of functions, so it
// should remember its answer for a while. nil is an error of New. By default the worker does not
// pause.
func PauseIf(reason func() error) Option {
	return func(o *worker.Options) error {
		if reason == nil {
			return errors.New("workers: PauseIf(nil): pass a function")
		}
		o.PauseIf = reason
		return nil
	}
}
