package workers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A late reply is one that the network holds back, to the first request for which of returns true,
// until goOn is closed or says that it is lost.
type late struct {
	of    func(request []byte) bool
	asked chan struct{}
	goOn  chan error
}

// there is closed when the reply has arrived.
func (l *late) there() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.asked
}

// A lateNetwork holds replies back.
type lateNetwork struct {
	mu      sync.Mutex
	late    []*late
	blocked net.Conn // where a read waits for items
	waits   []string // the requests of such reads
}

type lateConn struct {
	net.Conn
	*lateNetwork
	kept atomic.Pointer[late] // the next reply is
}

func (n *lateNetwork) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &lateConn{Conn: conn, lateNetwork: n}, nil
}

func (n *lateNetwork) keep(of func(request []byte) bool) *late {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &late{of, make(chan struct{}), make(chan error, 1)}
	n.late = append(n.late, l)
	return l
}

func (c *lateConn) Write(request []byte) (int, error) {
	c.mu.Lock()
	if isRead(request) && bytes.Contains(bytes.ToLower(request), []byte("block")) {
		c.blocked, c.waits = c.Conn, append(c.waits, string(request))
	}
	if i := slices.IndexFunc(c.late, func(l *late) bool { return l.of(request) }); i >= 0 {
		c.kept.Store(c.late[i])
		c.late = slices.Delete(c.late, i, i+1)
	}
	c.mu.Unlock()
	return c.Conn.Write(request)
}

func (c *lateConn) Read(reply []byte) (int, error) {
	n, err := c.Conn.Read(reply)
	if l := c.kept.Swap(nil); l != nil {
		close(l.asked)
		if lost := <-l.goOn; lost != nil {
			return 0, errors.Join(lost, c.Close())
		}
	}
	return n, err
}

// cut drops the reply of the blocked read.
func (n *lateNetwork) cut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.blocked == nil {
		return false
	}
	_ = n.blocked.Close()
	return true
}

func isRead(request []byte) bool { return bytes.Contains(bytes.ToLower(request), []byte("xreadgroup")) }

// isLook reports whether a worker asks for its held entries of a queue.
func isLook(queue string) func([]byte) bool {
	return func(request []byte) bool {
		return isRead(request) && bytes.Contains(request, []byte(":q:"+queue+"\r\n")) && bytes.HasSuffix(request, []byte("\r\n0\r\n"))
	}
}

// isAdvance reports whether a worker completes an entry and takes the next one: its name is behind
// the bound of the dead letters.
func isAdvance(request []byte) bool { return bytes.Contains(request, []byte("\r\n10000\r\n$36\r\n")) }

// A gate is a function that waits in each call until the test lets it go on.
type gate struct {
	workers.Func[int, int]
	begun chan int
	goOn  chan struct{}
	calls atomic.Int64
}

func gateOf(name string) *gate {
	g := &gate{begun: make(chan int, 1000), goOn: make(chan struct{})}
	g.Func = workers.Define(name, func(_ context.Context, x int) (int, error) {
		g.calls.Add(1)
		g.begun <- x
		<-g.goOn
		return x, nil
	})
	return g
}

// A line is a flow through functions, each with its queue, of a worker with two slots behind a
// network. It is that of an Executor, which has several connections.
type line struct {
	in     chan int
	out    <-chan bridge.Result[int]
	queues []string // in front of the functions
	stop   func() error
}

func lineOf(t *testing.T, network *lateNetwork, functions ...*gate) line {
	t.Helper()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	all := make([]workers.Function, len(functions))
	for i, f := range functions {
		all[i] = f
	}
	host := must(executor.New(t.Context(), url, executor.Dialer(network.dial), executor.Concurrency(2)))(t)
	if err := host.Register(all...); err != nil {
		t.Fatal(err)
	}
	ex := must(executor.New(t.Context(), url))(t)
	l := line{in: make(chan int, 1)}
	q := must(bridge.Scatter(t.Context(), ex, l.in))(t)
	for _, f := range functions {
		l.queues = append(l.queues, q.Name())
		q = must(executor.Map(t.Context(), f.Func, q, executor.NoFuse()))(t)
	}
	l.out = must(bridge.Gather(t.Context(), q))(t)
	l.stop = func() error {
		close(l.in)
		return errors.Join(host.Close(), ex.Close())
	}
	return l
}

// next expects the next result.
func (l line) next(t *testing.T, want int) {
	t.Helper()
	if r := <-l.out; r.Err != nil || r.Value != want {
		t.Fatalf("wanted %d, got %+v", want, r)
	}
}

// A worker that has lost the reply of a read asks for its held entries. An entry that it completes
// before the answer arrives does not run again.
func TestWhatIsCompletedMeanwhileIsNotRunAgain(t *testing.T) {
	t.Parallel()
	network, f := &lateNetwork{}, gateOf("f")
	l := lineOf(t, network, f)
	look := network.keep(isLook(l.queues[0]))
	l.in <- 1
	<-f.begun
	testkit.Eventually(t, network.cut, "the worker waits for more")
	<-look.there()
	close(f.goOn)
	l.next(t, 1)
	close(look.goOn)
	l.in <- 2
	l.next(t, 2)
	if err := l.stop(); err != nil || f.calls.Load() != 2 {
		t.Errorf("%d calls for two items, %v", f.calls.Load(), err)
	}
}

// advanced sends items through f and g until a slot goes on from one to the other with the last of
// them, and holds that reply back.
func (l line) advanced(t *testing.T, network *lateNetwork, f, g *gate) (last int, reply *late) {
	t.Helper()
	close(f.goOn)
	for x := 1; ; x++ {
		if x == 2 { // Redis knows the script, and the worker both stages
			reply = network.keep(isAdvance)
		}
		l.in <- x
		select {
		case <-reply.there():
			return x, reply
		case <-g.begun:
			g.goOn <- struct{}{}
			l.next(t, x)
		}
	}
}

// A slot goes on with an entry behind its own work, which it takes with its completion. Meanwhile
// the worker asks for its held entries. The entry does not run again.
func TestWhatASlotGoesOnWithIsNotRunAgain(t *testing.T) {
	t.Parallel()
	network, f, g := &lateNetwork{}, gateOf("f"), gateOf("g")
	l := lineOf(t, network, f, g)
	last, reply := l.advanced(t, network, f, g)
	look := network.keep(isLook(l.queues[1]))
	testkit.Eventually(t, network.cut, "the worker waits for more")
	<-look.there()
	reply.goOn <- nil
	<-g.begun
	close(g.goOn)
	l.next(t, last)
	close(look.goOn)
	l.in <- last + 1
	l.next(t, last+1)
	if err := l.stop(); err != nil || g.calls.Load() != int64(last+1) {
		t.Errorf("%d calls for %d items, %v", g.calls.Load(), last+1, err)
	}
}

// If the reply is lost with which a slot was to go on, the worker finds the entry among its held
// ones.
func TestALostReplyStopsNobodyWhoGoesOn(t *testing.T) {
	t.Parallel()
	network, f, g := &lateNetwork{}, gateOf("f"), gateOf("g")
	l := lineOf(t, network, f, g)
	last, reply := l.advanced(t, network, f, g)
	close(g.goOn)
	reply.goOn <- io.EOF
	l.next(t, last)
	if err := l.stop(); err != nil || f.calls.Load() != int64(last) || g.calls.Load() != int64(last) {
		t.Errorf("%d and %d calls for %d items, %v", f.calls.Load(), g.calls.Load(), last, err)
	}
}
