// Package connection has the settings that an Executor, an Inspector and a worker have in common.
package connection

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

const (
	defaultLease = 10 * time.Second
	minLease     = 100 * time.Millisecond
	// PingLimit bounds the time in which a server must answer the first requests.
	PingLimit = 5 * time.Second
)

// Settings say how a process connects to Redis. Each method is one option.
type Settings struct {
	broker.Options
	Lease time.Duration // without a heartbeat, until other processes declare this process dead
}

// Default returns the settings of a call without options.
func Default() Settings {
	return Settings{Options: broker.Options{Log: logging.Default()}, Lease: defaultLease}
}

// SetLogger sets the logger; nil discards all.
func (s *Settings) SetLogger(log *slog.Logger) { s.Log = logging.OrSilent(log) }

// SetAuth sets the user and the password, in place of those in the address.
func (s *Settings) SetAuth(user, password string) { s.Username, s.Password = user, password }

// SetDialer sets the function that connects to an address of Redis.
func (s *Settings) SetDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	s.Dialer = dial
}

// SetTLS sets the TLS configuration, in place of the one that the address implies.
func (s *Settings) SetTLS(config *tls.Config) { s.TLS = config }

// SetLease sets the lease, which must be at least 100 ms.
func (s *Settings) SetLease(d time.Duration) error {
	if d < minLease {
		return fmt.Errorf("Lease(%v): it must be at least %v", d, minLease)
	}
	s.Lease = d
	return nil
}

// Connect connects to the Redis at an address. It returns an error if no server answers within 5
// seconds.
func (s *Settings) Connect(ctx context.Context, redisURL string) (*broker.Client, error) {
	c, err := broker.Open(redisURL, s.Options)
	if err != nil {
		return nil, err
	}
	if err = c.Connect(ctx, PingLimit); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
