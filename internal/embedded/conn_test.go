package embedded

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// connected returns a server and a connection to it.
func connected(t *testing.T) (*Server, net.Conn) {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	conn, err := s.Dial(t.Context(), "tcp", "anywhere")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return s, conn
}

// client returns a client of a server.
func client(t *testing.T, s *Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Protocol: 2, Dialer: s.Dial, DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// request writes a command in the protocol of Redis.
func request(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if n, err := conn.Write(b); n != len(b) || err != nil {
		t.Fatalf("wrote %d of %d bytes, %v", n, len(b), err)
	}
}

func TestCommandInSeveralWrites(t *testing.T) {
	t.Parallel()
	_, conn := connected(t)
	text := append(append(request("SET", "key", "v\r\n1"), request("set", "empty", "")...), request("MGET", "key", "empty", "none")...)
	want := "+OK\r\n+OK\r\n*3\r\n$4\r\nv\r\n1\r\n$0\r\n\r\n$-1\r\n"
	for size := range len(text) {
		for rest := text; len(rest) > 0; {
			n := min(size+1, len(rest))
			write(t, conn, rest[:n])
			rest = rest[n:]
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Fatalf("in pieces of %d bytes the replies are %q, %v", size+1, got, err)
		}
	}
}

// Invalid bytes end the connection, as in Redis: the error is the last reply.
func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"PING\r\n": "expected '*', got 'P': inline commands are not supported", "*x\r\n": "invalid multibulk length", "*9999999999\r\n": "invalid multibulk length",
		"*1\r\n:1\r\n": "expected '$', got ':'", "*1\r\n*1\r\n": "expected '$', got '*'", "*1\r\n\r\n": "expected '$', got ''",
		"*1\r\n$-1\r\n": "invalid bulk length", "*1\r\n$99999999999\r\n": "invalid bulk length",
		"*" + strings.Repeat("1", maxHeader): "too big header",
	} {
		s, conn := connected(t)
		write(t, conn, append(request("PING"), text...))
		if got, err := io.ReadAll(conn); err != nil || string(got) != "+PONG\r\n-ERR Protocol error: "+want+"\r\n" {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
		if _, err := conn.Write(request("PING")); !errors.Is(err, io.ErrClosedPipe) || len(s.conns) > 0 {
			t.Errorf("%.20q: the connection is open, %v", text, err)
		}
	}
}

func TestEmptyCommandsAreIgnored(t *testing.T) {
	t.Parallel()
	_, conn := connected(t)
	write(t, conn, append([]byte("\r\n*0\r\n*-1\r\n"), request("PING")...))
	got := make([]byte, len("+PONG\r\n"))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "+PONG\r\n" {
		t.Errorf("the replies begin with %q, %v", got, err)
	}
}

// The reply of a command that panics is an error. The panic ends no client, and no lock stays
// locked.
func TestPanicIsAnErrorReply(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	s.commands["BROKEN"] = command{1, func(c *call) {
		c.out.array(3)
		c.out.bulk("half a reply")
		panic("defect")
	}}
	const inScript = "return {redis.pcall('GET', 'key'), pcall(redis.call, 'BROKEN')}"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"BROKEN"}, "-ERR panic in the embedded broker: defect\r\n"},
		{[]string{"SET", "key", "v"}, "+OK\r\n"},
		{[]string{"EVAL", "return redis.call('BROKEN')", "0"}, "-ERR defect\r\n"},
		{[]string{"EVAL", inScript, "0"}, "*3\r\n$1\r\nv\r\n$-1\r\n$6\r\ndefect\r\n"},
		{[]string{"EVAL", "local t = {} t[1] = t return t", "0"}, strings.Repeat("*1\r\n", maxDepth) + "-ERR reached lua stack limit\r\n"},
		{[]string{"EVAL", "local function f() return 1 + f() end return f()", "0"}, "-ERR user_script:1: stack overflow\r\n"},
		{[]string{"GET", "key"}, "$1\r\nv\r\n"},
	} {
		write(t, conn, request(test.args...))
		got := make([]byte, 10_000)
		n, err := conn.Read(got)
		if err != nil || string(got[:n]) != test.want {
			t.Errorf("%q: %q, %v", test.args, got[:n], err)
		}
	}
}

func TestRepliesAreReadAhead(t *testing.T) {
	t.Parallel()
	_, conn := connected(t)
	value := strings.Repeat("0123456789", 10_000)
	for range 3 {
		write(t, conn, request("ECHO", "unknown"))
		write(t, conn, request("PING", value)) // no goroutine reads
	}
	reply := "-ERR unknown command 'ECHO', the embedded broker does not have it\r\n$100000\r\n" + value + "\r\n"
	got := make([]byte, 3*len(reply))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != strings.Repeat(reply, 3) {
		t.Fatalf("other replies: %.100q, %v", got, err)
	}
	if n, err := conn.Read(nil); n != 0 || err != nil {
		t.Errorf("nothing asked for: %d, %v", n, err)
	}
}

func TestTheEndComesAfterWhatWasSent(t *testing.T) {
	t.Parallel()
	s, conn := connected(t)
	write(t, conn, request("PING"))
	s.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "+PONG\r\n" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := conn.Write(request("PING")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write: %v", err)
	}
}

func TestReadDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, conn := connected(t)
		began := time.Now()
		for _, set := range []func(time.Time) error{conn.SetReadDeadline, conn.SetDeadline} {
			if err := set(time.Now().Add(3 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err := conn.Read(make([]byte, 1))
			var network net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &network) || !network.Timeout() {
				t.Errorf("read: %v", err)
			}
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("two deadlines of 3 s took %v", took)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { _, _ = conn.Write(request("PING")) })
		if n, err := conn.Read(make([]byte, 100)); n != 7 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		_ = conn.SetDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { _, _ = conn.Write(request("PING")) })
		if n, err := conn.Read(make([]byte, 100)); n != 7 || err != nil {
			t.Errorf("without a deadline: %d, %v", n, err)
		}
	})
}

func TestCloseEndsBlockedRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, conn := connected(t)
		ended := make(chan error)
		write(t, conn, request("XREAD", "BLOCK", "0", "STREAMS", "s", "0"))
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("read: %v", err)
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("a closed connection takes a command")
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if len(s.waiting) != 0 || len(s.conns) != 0 {
			t.Errorf("a closed connection leaves %v and %v", s.waiting, s.conns)
		}
	})
}

func TestLargePipeline(t *testing.T) {
	t.Parallel()
	s := New()
	defer s.Close()
	c := client(t, s)
	value := strings.Repeat("v", 10_000)
	cmds, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "k", value, 0)
		for range 2000 {
			p.Get(t.Context(), "k")
		}
		return nil
	})
	if err != nil || len(cmds) != 2001 {
		t.Fatalf("%d replies, %v", len(cmds), err)
	}
	for _, cmd := range cmds[1:] {
		if got, ok := cmd.(*redis.StringCmd); !ok || got.Val() != value {
			t.Fatalf("a reply is %.50v", cmd)
		}
	}
	if keys := s.Keys(); len(keys) != 1 {
		t.Errorf("keys: %q", keys)
	}
}

// An idle connection does not keep the buffer of a large reply.
func TestLargeBufferIsReleased(t *testing.T) {
	t.Parallel()
	s, raw := connected(t)
	text := request("PING", strings.Repeat("v", 4*maxIdleBuffer))
	write(t, raw, text)
	if _, err := io.ReadFull(raw, make([]byte, len(text)-len("*2\r\n$4\r\nPING\r\n"))); err != nil {
		t.Fatal(err)
	}
	for c := range s.conns {
		if cap(c.out.b) != 0 || c.in.arg.Cap() != 0 {
			t.Errorf("it keeps %d and %d bytes", cap(c.out.b), c.in.arg.Cap())
		}
	}
}

func TestClosedServerRefuses(t *testing.T) {
	t.Parallel()
	s := New()
	s.Close()
	if conn, err := s.Dial(t.Context(), "tcp", "anywhere"); conn != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialed %v, %v", conn, err)
	}
}
