package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

var errAway = errors.New("the network is away")

// A line is a network that can be away.
type line struct {
	server *embedded.Server
	away   atomic.Bool
}

type lineConn struct {
	net.Conn
	line *line
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.away.Load() {
		return nil, errAway
	}
	conn, err := l.server.Dial(ctx, network, addr)
	return &lineConn{conn, l}, err
}

// raw does something past the line.
func (l *line) raw(do func(*redis.Client) error) error {
	raw := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: l.server.Dial, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	return errors.Join(do(raw), raw.Close())
}

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.line.away.Load() {
		return 0, errors.Join(errAway, c.Close())
	}
	return n, err
}

func (c *lineConn) Write(b []byte) (int, error) {
	if c.line.away.Load() {
		return 0, errors.Join(errAway, c.Close())
	}
	return c.Conn.Write(b)
}

// A result that Redis no longer has, nor the item that it would come of, ends the
// wait for it: it ran out while its executor was away, or Redis has lost it.
func TestAResultThatHasRunOutIsAnError(t *testing.T) {
	broker.Quiet()
	for _, c := range []struct {
		name string
		lose func(l *line) error
		want error
	}{
		{"away for leases", func(*line) error {
			<-time.After(time.Minute)
			return nil
		}, nil},
		{"away for long", func(*line) error {
			<-time.After(25 * time.Minute)
			return nil
		}, executor.ErrLost},
		{"deleted", func(l *line) error {
			<-time.After(time.Second)
			return l.raw(func(raw *redis.Client) error {
				keys := raw.Keys(context.Background(), "*:f:*").Val()
				if len(keys) != 1 {
					return fmt.Errorf("the results are %q", keys)
				}
				return raw.Del(context.Background(), keys...).Err()
			})
		}, executor.ErrLost},
		{"flushed", func(l *line) error {
			<-time.After(time.Second)
			return l.raw(func(raw *redis.Client) error { return raw.FlushAll(context.Background()).Err() })
		}, executor.ErrLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &line{server: embedded.New()}
				defer l.server.Close()
				runOut(t, l, c.lose, c.want)
				<-time.After(2 * time.Second) // go-redis looks once a second whether a pool that could not dial was closed
			})
		})
	}
}

// runOut has a future that gets its result while the executor is away, and one of the
// same function afterwards.
func runOut(t *testing.T, l *line, lose func(*line) error, want error) {
	t.Helper()
	started, gate := make(chan struct{}), make(chan struct{})
	held := workers.Define("held", func(_ context.Context, x int) (int, error) {
		if x == 1 {
			close(started)
			<-gate
		}
		return x, nil
	})
	w, err := workers.New("redis://127.0.0.1:6379", workers.Dialer(l.server.Dial), workers.Functions(held))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ex, err := executor.New(t.Context(), "redis://127.0.0.1:6379", executor.Dialer(l.dial))
	if err != nil {
		t.Fatal(err)
	}
	f, err := executor.Submit(t.Context(), ex, held, 1)
	if err != nil {
		t.Fatal(err)
	}
	<-started
	<-time.After(time.Minute) // a function that takes its time is waited for
	if f.Done() {
		t.Error("it is given up while its function runs")
	}
	l.away.Store(true)
	close(gate)
	if err := lose(l); err != nil {
		t.Error(err)
	}
	l.away.Store(false)
	if _, err := f.Result(t.Context()); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	<-time.After(10 * time.Second) // it joins again
	if again, err := executor.Submit(t.Context(), ex, held, 2); err != nil {
		t.Error(err)
	} else if v, err := again.Result(t.Context()); v != 2 || err != nil {
		t.Errorf("the next one is %d, %v", v, err)
	}
	stop()
	if err := errors.Join(ex.Close(), <-ended); err != nil {
		t.Error(err)
	}
}

// A mute network loses the messages that a future was canceled or has a result.
type mute struct{ net.Conn }

func (c mute) Write(b []byte) (int, error) {
	told := bytes.ReplaceAll(b, []byte("\r\ncancel\r\n"), []byte("\r\nnobody\r\n"))
	return c.Conn.Write(bytes.ReplaceAll(told, []byte("\r\ndone\r\n"), []byte("\r\nnone\r\n")))
}

// A worker whose slots are all busy finds out by itself that a future was canceled, and
// an executor that another one has its result.
func TestAFutureWhoseMessagesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		defer server.Close()
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			return mute{conn}, err
		}
		begun, ended := make(chan struct{}), make(chan struct{})
		patient := workers.Define("patient", func(ctx context.Context, x int) (int, error) {
			close(begun)
			<-ctx.Done()
			close(ended)
			return x, ctx.Err()
		})
		ex, err := executor.New(t.Context(), "redis://127.0.0.1:6379", executor.Dialer(dial), executor.Concurrency(1))
		if err == nil {
			err = ex.Register(patient, inc)
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := executor.Submit(t.Context(), ex, patient, 1)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := f.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("the function runs on")
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrCanceled) {
			t.Errorf("got %v", err)
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if f, err = executor.Submit(t.Context(), ex, inc, 1); err != nil {
			t.Fatal(err)
		}
		if v, err := f.Result(soon); v != 2 || err != nil {
			t.Errorf("the next one is %d, %v", v, err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}
