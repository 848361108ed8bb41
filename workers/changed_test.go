//go:build !rings

// At rings, a worker reads no stages before it is rung for their queues.

package workers_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A counted network counts the reads of all stages.
type counted struct{ whole atomic.Int64 }

type countedConn struct {
	net.Conn
	*counted
}

func (n *counted) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &countedConn{conn, n}, err
}

func (c *countedConn) Write(request []byte) (int, error) {
	text := bytes.ToLower(request)
	c.whole.Add(int64(min(bytes.Count(text, []byte("hgetall")), bytes.Count(text, []byte(":stages\r\n")))))
	return c.Conn.Write(request)
}

// A flow that begins or ends costs a worker the same, for any number of other flows.
func TestOnlyStagesThatChangeAreRead(t *testing.T) {
	t.Parallel()
	const flows = 30
	network := &counted{}
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	w := must(workers.New(url, workers.Dialer(network.dial), workers.Functions(same)))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	ex := must(executor.New(t.Context(), url))(t)
	for x := range flows {
		in := make(chan int)
		q := must(executor.Map(t.Context(), same, must(bridge.Scatter(t.Context(), ex, in))(t)))(t)
		out := must(bridge.Gather(t.Context(), q))(t)
		in <- x
		if r := <-out; r.Err != nil || r.Value != x {
			t.Fatalf("flow %d brings %+v", x, r)
		}
		if close(in); x%2 == 0 {
			for r := range out {
				t.Errorf("flow %d brings %+v too", x, r)
			}
		}
	}
	stop()
	if err := errors.Join(<-ended, ex.Close()); err != nil {
		t.Error(err)
	}
	if whole := network.whole.Load(); whole == 0 || whole > flows/2 { // at first, and each few seconds of idling
		t.Errorf("all stages were read %d times for %d flows", whole, flows)
	}
}

// A worker that gets the hint of a stage before its first blocked read reads that stage too.
func TestNoWorkerWaitsWithoutWhatItHasHeardOf(t *testing.T) {
	t.Parallel()
	network, f := &lateNetwork{}, gateOf("f")
	close(f.goOn)
	look := network.keep(func(request []byte) bool {
		return bytes.Contains(bytes.ToLower(request), []byte("hgetall")) && bytes.Contains(request, []byte(":stages\r\n"))
	})
	l := lineOf(t, network, f)
	<-look.there() // from before the stage was made
	close(look.goOn)
	l.in <- 1
	l.next(t, 1)
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	for _, request := range network.waits {
		if !strings.Contains(request, ":q:"+l.queues[0]+"\r\n") {
			t.Errorf("the worker waited for %q", request)
		}
	}
}
