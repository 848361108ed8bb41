package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A syncedLog is a log that several goroutines write and read.
type syncedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A full Redis is called full, with its figures if the user may read them, and not one that fails.
func TestFullMemoryIsNamed(t *testing.T) {
	t.Parallel()
	figures := regexp.MustCompile(`redis is full: \d+\.\d of 1\.0 MiB in use; scatters wait, gathers go on`)
	for user, want := range map[string]*regexp.Regexp{"all": figures, "few": regexp.MustCompile(`redis is full; scatters wait, gathers go on`)} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t)
			log := &syncedLog{}
			admin, err := broker.Open(server.URL(), broker.Options{})
			admin = opened(t, admin, err)
			if err := errors.Join(
				admin.Raw().Do(t.Context(), "ACL", "SETUSER", "all", "on", ">x", "~*", "&*", "+@all").Err(),
				admin.Raw().Do(t.Context(), "ACL", "SETUSER", "few", "on", ">x", "~*", "&*", "+@all", "-info").Err(),
			); err != nil {
				t.Fatal(err)
			}
			c, err := broker.Open(server.URL(), broker.Options{Username: user, Password: "x", Log: slog.New(slog.NewTextHandler(log, nil))})
			c = opened(t, c, err)
			f := makeFlow(t, c, 0)
			if err := admin.Raw().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			refused := make(chan error, 1)
			go func() {
				for i := int64(0); ; i++ {
					if _, err := c.Scatter(ctx, f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", i, strings.Repeat("x", 100<<10))}}); err != nil {
						refused <- err
						return
					}
				}
			}()
			testkit.Eventually(t, func() bool { return want.MatchString(log.String()) || len(refused) > 0 }, "the log says that redis is full")
			cancel()
			if err := <-refused; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "redis is full: OOM") {
				t.Errorf("the scatter ends with %v", err)
			}
			if text := log.String(); strings.Contains(text, "calls fail") || strings.Count(text, "redis is full") != 1 {
				t.Errorf("the log is %s", text)
			}
		})
	}
}

// A server without a free connection is called that, although its answer is lost if the client has
// written before it reads. The calls succeed once there is room.
func TestRefusedConnectionsAreNamed(t *testing.T) {
	t.Parallel()
	const named = "redis refuses new connections: raise its maxclients"
	server := testkit.StartRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: 1, MinIdleConns: 1})
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.ConfigSet(t.Context(), "maxclients", "1").Err(); err != nil {
		t.Fatal(err)
	}
	log := &syncedLog{}
	c, err := broker.Open(server.URL(), broker.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	c = opened(t, c, err)
	if err := c.Connect(t.Context(), time.Second); !errors.Is(err, broker.ErrUnreachable) || errors.Is(err, broker.ErrUnusable) || !strings.Contains(err.Error(), named) {
		t.Errorf("the connection ends with %v", err)
	}
	joined := make(chan error, 1)
	go func() { joined <- c.Join(t.Context(), broker.RoleExecutor, "x1", nil) }()
	testkit.Eventually(t, func() bool { return strings.Contains(log.String(), named) }, "the log names the cause")
	if err := admin.ConfigSet(t.Context(), "maxclients", "100").Err(); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "calls fail") {
		t.Errorf("the log is %s", text)
	}
}
