package embedded

import (
	"bytes"
	"errors"
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

// pair is a buffered end and its other one.
func pair(t *testing.T) (near *conn, far net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	near = buffered(a)
	t.Cleanup(func() {
		_ = near.Close()
		_ = b.Close()
	})
	return near, b
}

func TestRepliesAreReadAhead(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	want := bytes.Repeat([]byte("0123456789"), chunk)
	for range 3 {
		if _, err := far.Write(want); err != nil { // nobody reads
			t.Fatal(err)
		}
	}
	got := make([]byte, 3*len(want))
	if _, err := io.ReadFull(near, got); err != nil || !bytes.Equal(got, bytes.Repeat(want, 3)) {
		t.Fatalf("another text of %d bytes, %v", len(got), err)
	}
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Errorf("nothing asked for: %d, %v", n, err)
	}
}

func TestTheEndComesAfterWhatWasSent(t *testing.T) {
	t.Parallel()
	near, far := pair(t)
	if _, err := far.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	if got, err := io.ReadAll(near); err != nil || string(got) != "last words" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReadDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := pair(t)
		began := time.Now()
		for _, set := range []func(time.Time) error{near.SetReadDeadline, near.SetDeadline} {
			if err := set(time.Now().Add(3 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err := near.Read(make([]byte, 1))
			var network net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &network) || !network.Timeout() {
				t.Errorf("read: %v", err)
			}
		}
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("two deadlines of 3 s took %v", took)
		}
		_ = near.SetDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { _, _ = far.Write([]byte("in time")) })
		if n, err := near.Read(make([]byte, 100)); n != 7 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		_ = near.SetDeadline(time.Time{})
		time.AfterFunc(time.Hour, func() { _, _ = far.Write([]byte("late")) })
		if n, err := near.Read(make([]byte, 100)); n != 4 || err != nil {
			t.Errorf("without a deadline: %d, %v", n, err)
		}
	})
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, _ := pair(t)
		ended := make(chan error)
		go func() {
			_, err := near.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		if err := near.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("read: %v", err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write: %v", err)
		}
		_ = near.Close()
	})
}

func TestABigPipelineGoesThrough(t *testing.T) {
	t.Parallel()
	server := New()
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Protocol: 2, Dialer: server.Dial, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	value := strings.Repeat("v", 10_000)
	cmds, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
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
	if keys := server.Keys(); len(keys) != 1 {
		t.Errorf("keys: %q", keys)
	}
}

func TestAClosedServerRefuses(t *testing.T) {
	t.Parallel()
	server := New()
	server.Close()
	if conn, err := server.Dial(t.Context(), "tcp", "anywhere"); conn != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialed %v, %v", conn, err)
	}
}
