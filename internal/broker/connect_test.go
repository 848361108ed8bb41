package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// connect opens an address and makes the first calls of a process. Its limit is far above their
// duration, so an error that is wrongly retried shows as ErrUnreachable after a minute.
func connect(t *testing.T, address string, opts broker.Options) (*broker.Client, error) {
	t.Helper()
	c, err := broker.Open(address, opts)
	c = opened(t, c, err)
	if err := c.Connect(t.Context(), time.Minute); err != nil {
		return c, err
	}
	return c, c.Writable(t.Context(), time.Minute)
}

// refuses checks that Redis cannot be used, at once and with a reason.
func refuses(t *testing.T, address string, opts broker.Options, reason string) error {
	t.Helper()
	c, err := connect(t, address, opts)
	if !errors.Is(err, broker.ErrUnusable) || !errors.Is(err, broker.ErrUnreachable) || !strings.Contains(err.Error(), reason) {
		t.Errorf("%s: %v, want %q", address, err, reason)
	}
	if n := c.Failures(); n > 1 { // one is needed to notice a cut connection
		t.Errorf("%s: %d calls were repeated", address, n)
	}
	return err
}

func TestRefusedCredentialsAreNotRetried(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--requirepass", "sesame")
	admin := must[*broker.Client](t)(connect(t, "redis://:sesame@"+server.Addr(), broker.Options{}))
	for user, rules := range map[string][]string{
		"none": {"+auth"}, "ping": {"+ping"}, "reads": {"~*", "+@read", "+ping", "+eval", "+evalsha", "+time"},
	} {
		args := []any{"acl", "setuser", user, "on", ">secret"}
		for _, rule := range rules {
			args = append(args, rule)
		}
		if err := admin.Raw().Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		err := refuses(t, "redis://"+user+":secret@"+server.Addr(), broker.Options{}, `user "`+user+`"`)
		if !errors.Is(err, broker.ErrDenied) {
			t.Errorf("user %s: %v", user, err)
		}
	}
	refuses(t, "redis://"+server.Addr(), broker.Options{}, "wants a password")
	refuses(t, "redis://:wrong@"+server.Addr(), broker.Options{}, "password is wrong")
	refuses(t, "redis://nosuch:sesame@"+server.Addr(), broker.Options{}, "password is wrong")
	refuses(t, "redis://:sesame@"+server.Addr()+"/4711", broker.Options{}, "DB index")
	refuses(t, "redis+cluster://:sesame@"+server.Addr(), broker.Options{}, "use redis://")
}

func TestReplicaAcceptsReadersOnly(t *testing.T) {
	t.Parallel()
	master, replica := testkit.StartRedis(t), testkit.StartRedis(t)
	c, err := broker.Open(replica.URL(), broker.Options{})
	c = opened(t, c, err)
	host, port, _ := strings.Cut(master.Addr(), ":")
	if err := errors.Join(c.Raw().SlaveOf(t.Context(), host, port).Err(), c.Connect(t.Context(), time.Minute)); err != nil {
		t.Fatal(err)
	}
	err = c.Writable(t.Context(), 50*time.Millisecond)
	if !errors.Is(err, broker.ErrUnreachable) || errors.Is(err, broker.ErrUnusable) || !strings.Contains(err.Error(), "READONLY") {
		t.Error(err) // it may be made a master
	}
}

func TestTLSMismatchIsExplained(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { // without a certificate, its handshakes end with an alert
				_ = tls.Server(conn, &tls.Config{}).Handshake()
				_ = conn.Close()
			})
		}
	})
	refuses(t, "redis://:secret@"+l.Addr().String(), broker.Options{}, "use rediss://")
	refuses(t, "rediss://:secret@"+server.Addr(), broker.Options{}, "use redis://")
}

// The replies are those of the named servers, except for commands that these checks do not send.
func TestWrongServersAreExplained(t *testing.T) {
	t.Parallel()
	const hello = "*4\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$4\r\nmode\r\n"
	for name, c := range map[string]struct {
		scheme, path, reason string
		answers              map[string]string
	}{
		"Redis 6.0": {"redis", "", `6.2 or later, or compatible with it; its version is "6.0.16"`, map[string]string{
			"ping": "+PONG\r\n", "xrange": "-ERR Invalid stream ID specified as stream command argument\r\n", "hello": hello + "$10\r\nstandalone\r\n",
		}},
		"Redis 4": {"redis", "", `6.2 or later, or compatible with it; its version is ""`, map[string]string{
			"ping": "+PONG\r\n", "xrange": "-ERR unknown command 'xrange'\r\n", "hello": "-ERR unknown command 'hello'\r\n",
		}},
		"Sentinel": {"redis", "", "use redis+sentinel://", map[string]string{
			"ping": "+PONG\r\n", "xrange": "-ERR unknown command 'xrange'\r\n", "hello": hello + "$8\r\nsentinel\r\n",
		}},
		"Redis for Sentinel": {"redis+sentinel", "/m", "no Sentinel", map[string]string{
			"sentinel": "-ERR unknown command 'sentinel', with args beginning with: 'get-master-addr-by-name' 'm' \r\n",
		}},
		"node of a Cluster": {"redis", "", "use redis+cluster://", map[string]string{
			"ping": "+PONG\r\n", "xrange": "-MOVED 8214 127.0.0.1:7103\r\n",
		}},
		"node that has moved the script's key": {"redis", "", "use redis+cluster://", map[string]string{
			"ping": "+PONG\r\n", "xrange": "*0\r\n", "config": "*0\r\n", "evalsha": "-ASK 8214 127.0.0.1:7103\r\n",
		}},
		"declared keys only": {"redis", "", "compute names of keys", map[string]string{
			"ping": "+PONG\r\n", "xrange": "*0\r\n", "config": "*0\r\n", "evalsha": "-ERR script tried accessing undeclared key: x\r\n",
		}},
		"no Redis": {"redis", "", "is not Redis", map[string]string{"ping": "HTTP/1.1 400 Bad Request\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := testkit.StartFake(t, func(words []string) string {
				if answer, ok := c.answers[words[0]]; ok {
					return answer
				}
				if words[0] == "hello" {
					return hello + "$10\r\nstandalone\r\n"
				}
				return "+OK\r\n"
			})
			refuses(t, c.scheme+"://"+addr+c.path, broker.Options{}, c.reason)
		})
	}
}

// Sentinels that do not know a master may learn of it later. Until then a read must not return nil.
func TestUnknownMasterIsAnError(t *testing.T) {
	t.Parallel()
	addr := testkit.StartFake(t, func([]string) string { return "*-1\r\n" })
	c, err := broker.Open("redis+sentinel://"+addr+"/nosuch", broker.Options{})
	c = opened(t, c, err)
	err = c.Connect(t.Context(), 50*time.Millisecond)
	if !errors.Is(err, broker.ErrUnreachable) || errors.Is(err, broker.ErrUnusable) || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Look(ctx, "q"); errors.Is(err, broker.ErrQueueNotFound) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A user who lacks the permission for the probe can connect.
func TestVersionProbeNeedsNoPermission(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"ping": "+PONG\r\n", "evalsha": ":1\r\n", "hdel": ":0\r\n", "hello": "-ERR unknown command 'hello'\r\n"}
	addr := testkit.StartFake(t, func(words []string) string {
		if answer, ok := answers[words[0]]; ok {
			return answer
		}
		return "-NOPERM this user has no permissions to run the 'x' command\r\n"
	})
	if _, err := connect(t, "redis://"+addr, broker.Options{}); err != nil {
		t.Error(err)
	}
}

// A Sentinel ends the connections of a master that it demotes. The next call uses another connection
// and does not fail, but the writes before it may be lost.
func TestEndedConnectionCountsAsFailure(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	admin := must[*broker.Client](t)(connect(t, server.URL(), broker.Options{}))
	c := must[*broker.Client](t)(connect(t, server.URL(), broker.Options{}))
	before := c.Failures()
	if err := c.Raw().Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n := c.Failures(); n != before {
		t.Fatalf("%d failures in normal work", n-before)
	}
	if err := admin.Raw().Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		if err := c.Raw().Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return c.Failures() > before
	}, "the end of a connection is counted")
}
