package workers

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/logging"
)

// Option changes what New makes.
type Option func(*settings) error

type settings struct {
	connection  broker.Options
	concurrency int
	lease       time.Duration
	drain       time.Duration
	pauseIf     func() error
	log         *slog.Logger
	functions   []Function
	client      *broker.Client
}

// Concurrency is how many items the worker runs at once, its slots: at least 1,
// the number of processors if it is not given.
func Concurrency(slots int) Option {
	return func(s *settings) error {
		if slots < 1 {
			return fmt.Errorf("workers: Concurrency(%d): it must be at least 1", slots)
		}
		s.concurrency = slots
		return nil
	}
}

// Functions sets the functions that the worker runs. Given more than once, they add up.
func Functions(functions ...Function) Option {
	return func(s *settings) error {
		s.functions = append(s.functions, functions...)
		return nil
	}
}

// Logger sets the logger of the worker. The default is slog.Default(), as it is when New
// is called, from slog.LevelWarn on. Logger(nil) is silent.
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

// TLS sets the configuration of TLS, in place of the one that the address implies.
func TLS(config *tls.Config) Option {
	return func(s *settings) error {
		s.connection.TLS = config
		return nil
	}
}

// Lease is after how long without a heartbeat others take the worker for dead
// and give back its entries: 10 seconds if it is not given, at least 100 ms.
// It should be the same in the whole fleet.
func Lease(d time.Duration) Option {
	return func(s *settings) error {
		if d < 100*time.Millisecond {
			return fmt.Errorf("workers: Lease(%v): it must be at least 100ms", d)
		}
		s.lease = d
		return nil
	}
}

// DrainTimeout is how long functions may go on when Run has to end, before their
// context is canceled: 30 seconds if it is not given.
func DrainTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("workers: DrainTimeout(%v): it must not be negative", d)
		}
		s.drain = d
		return nil
	}
}

// On makes the worker use a connection that is there already, which stays the
// caller's. It is for the other packages of this module.
func On(c *broker.Client) Option {
	return func(s *settings) error {
		s.client = c
		return nil
	}
}
