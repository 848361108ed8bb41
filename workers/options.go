package workers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/dqbridge/dqbridge/internal/worker"
)

// Option changes what New makes.
type Option func(*worker.Options) error

// Concurrency is how many items the worker runs at once, its slots: at least 1,
// the number of processors if it is not given.
func Concurrency(slots int) Option {
	return func(o *worker.Options) error {
		if slots < 1 {
			return fmt.Errorf("workers: Concurrency(%d): it must be at least 1", slots)
		}
		o.Concurrency = slots
		return nil
	}
}

// Functions sets the functions that the worker runs. Given more than once, they add up.
func Functions(functions ...Function) Option {
	return func(o *worker.Options) error {
		added, err := runnable(functions)
		o.Functions = append(o.Functions, added...)
		return err
	}
}

// Logger sets the logger of the worker. The default is slog.Default(), as it is when New
// is called, from slog.LevelWarn on. Logger(nil) is silent.
func Logger(log *slog.Logger) Option {
	return func(o *worker.Options) error {
		o.Connection.SetLogger(log)
		return nil
	}
}

// Auth is the user and the password for Redis, instead of those in the address.
// Neither shows in a log or an error.
func Auth(user, password string) Option {
	return func(o *worker.Options) error {
		o.Connection.SetAuth(user, password)
		return nil
	}
}

// Dialer is how to connect to an address of Redis, for example through a
// tunnel; the network and TLS stand as they are if it is not given.
func Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *worker.Options) error {
		o.Connection.SetDialer(dial)
		return nil
	}
}

// TLS sets the configuration of TLS, in place of the one that the address implies.
func TLS(config *tls.Config) Option {
	return func(o *worker.Options) error {
		o.Connection.SetTLS(config)
		return nil
	}
}

// Lease is after how long without a heartbeat others take the worker for dead
// and give back its entries: 10 seconds if it is not given, at least 100 ms.
// It should be the same in the whole fleet.
func Lease(d time.Duration) Option {
	return func(o *worker.Options) error {
		if err := o.Connection.SetLease(d); err != nil {
			return fmt.Errorf("workers: %w", err)
		}
		return nil
	}
}

// DrainTimeout is how long functions may go on when Run has to end, before their
// context is canceled: 30 seconds if it is not given.
func DrainTimeout(d time.Duration) Option {
	return func(o *worker.Options) error {
		if d < 0 {
			return fmt.Errorf("workers: DrainTimeout(%v): it must not be negative", d)
		}
		o.Drain = d
		return nil
	}
}

// PauseIf has the worker call no function while reason returns an error, such as too little memory on its machine. Calls
// that have begun go on. Items for which none has begun go back for any worker, which counts no attempt. reason is
// called before calls of functions, by several goroutines at once, and should remember its answer for a while. The default
// is no such function.
func PauseIf(reason func() error) Option {
	return func(o *worker.Options) error {
		if reason == nil {
			return errors.New("workers: PauseIf(nil): pass a function")
		}
		o.PauseIf = reason
		return nil
	}
}
