package workers_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A heldReply is a network on which the reply to the first look at what a worker
// holds is late.
type heldReply struct {
	asked, late chan struct{}
	once        sync.Once
	mu          sync.Mutex
	blocked     net.Conn // where a read waits for items
}

type heldConn struct {
	net.Conn
	*heldReply
	looks atomic.Bool
}

func (h *heldReply) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &heldConn{Conn: conn, heldReply: h}, nil
}

func (c *heldConn) Write(request []byte) (int, error) {
	switch text := bytes.ToLower(request); {
	case !bytes.Contains(text, []byte("xreadgroup")):
	case bytes.Contains(text, []byte("block")):
		c.mu.Lock()
		c.blocked = c.Conn
		c.mu.Unlock()
	case bytes.Contains(text, []byte(":q:")) && bytes.HasSuffix(text, []byte("\r\n0\r\n")):
		c.once.Do(func() { c.looks.Store(true) })
	}
	return c.Conn.Write(request)
}

func (c *heldConn) Read(reply []byte) (int, error) {
	n, err := c.Conn.Read(reply)
	if c.looks.CompareAndSwap(true, false) {
		close(c.asked)
		<-c.late
	}
	return n, err
}

// cut loses the reply of the read that waits.
func (h *heldReply) cut() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.blocked == nil {
		return false
	}
	_ = h.blocked.Close()
	return true
}

// A worker that has lost the reply of a read asks what it holds. What it
// completes before it hears the answer is not run again.
func TestWhatIsCompletedMeanwhileIsNotRunAgain(t *testing.T) {
	network := &heldReply{asked: make(chan struct{}), late: make(chan struct{})}
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	client, err := broker.Open(url, broker.Options{Dialer: network.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begun, goOn := make(chan struct{}, 4), make(chan struct{})
	var calls atomic.Int64
	f := workers.Define("f", func(_ context.Context, x int) (int, error) {
		if x == 1 {
			calls.Add(1)
			begun <- struct{}{}
			<-goOn
		}
		return x, nil
	})
	w, err := workers.New(url, workers.On(client), workers.Concurrency(2), workers.Functions(f))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()

	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	in := make(chan int, 1)
	in <- 1
	q, err := bridge.Scatter(t.Context(), ex, in)
	if err != nil {
		t.Fatal(err)
	}
	if q, err = executor.Map(t.Context(), f, q); err != nil {
		t.Fatal(err)
	}
	out, err := bridge.Gather(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	testkit.Eventually(t, network.cut, "the worker waits for more")
	<-network.asked
	close(goOn)
	got := []int{(<-out).Value}
	close(network.late)
	in <- 2
	got = append(got, (<-out).Value)
	close(in)
	stop()
	if err := <-ended; err != nil || calls.Load() != 1 || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("got %v by %d calls for the first, %v", got, calls.Load(), err)
	}
}
