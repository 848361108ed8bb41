package topology

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

const (
	trouble  = "retrying until they succeed"
	recovery = "redis answers again"
	dead     = "process declared dead"
)

// A stream sends numbers through two stages on two workers, as long as the test injects faults.
type stream struct {
	t       *testing.T
	ns      string
	sent    atomic.Int64
	got     atomic.Int64
	said    []*diary // of each process
	trouble string   // what each process says when an outage begins
	stop    chan struct{}
	ended   chan struct{}
	wrong   atomic.Pointer[string] // the first wrong result
	failing func(i int64, err error) bool
}

// flow starts a stream over url, which has no namespace yet. failing reports which elements may be
// errors; nil: none.
func flow(t *testing.T, url string, failing func(i int64, err error) bool) *stream {
	t.Helper()
	ns := testkit.Namespace(t)
	url += "?ns=" + ns
	s := &stream{t: t, ns: ns, stop: make(chan struct{}), ended: make(chan struct{}), failing: failing, trouble: trouble}
	s.said = []*diary{work(t, url), work(t, url)}
	ex, said := connect(t, url)
	s.said = append(s.said, said)
	in := make(chan int)
	first := must(bridge.Scatter(t.Context(), ex, in, bridge.MaxSize(5000)))(t)
	out := must(bridge.Gather(t.Context(), stage(t, double, stage(t, inc, first))))(t)
	go s.feed(t.Context(), in)
	go s.check(out)
	s.flowing()
	return s
}

// feed sends a hundred numbers per millisecond.
func (s *stream) feed(ctx context.Context, in chan<- int) {
	defer close(in)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		case <-ctx.Done():
			return
		}
		for range 100 {
			select {
			case in <- int(s.sent.Load()):
				s.sent.Add(1)
			case <-s.stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

func (s *stream) check(out <-chan bridge.Result[int]) {
	defer close(s.ended)
	for r := range out {
		i := s.got.Load()
		allowed := r.Err != nil && s.failing != nil && s.failing(i, r.Err)
		if !allowed && (r.Err != nil || r.Value != processed(int(i))) && s.wrong.Load() == nil {
			text := fmt.Sprintf("element %d is %d, %v", i, r.Value, r.Err)
			s.wrong.Store(&text)
		}
		s.got.Add(1)
	}
}

// flowing waits for results of items sent after this call, and returns how long the first one took.
func (s *stream) flowing() time.Duration {
	s.t.Helper()
	began, before := time.Now(), s.got.Load()
	s.until(func() bool { return s.got.Load() > before }, "a result comes")
	took, sent := time.Since(began), s.sent.Load()
	s.until(func() bool { return s.got.Load() > sent }, "results come of what goes in now")
	return took
}

// until waits for a condition. It fails when the stream has a wrong result.
func (s *stream) until(cond func() bool, what string) {
	s.t.Helper()
	over := func() bool {
		select {
		case <-s.ended:
			return true
		default:
			return s.wrong.Load() != nil
		}
	}
	testkit.Eventually(s.t, func() bool { return cond() || over() }, what)
	if wrong := s.wrong.Load(); wrong != nil {
		s.t.Fatal(*wrong)
	}
	if !cond() {
		s.t.Fatalf("the stream ended after %d of %d elements, before: %s", s.got.Load(), s.sent.Load(), what)
	}
}

// noticed waits until each process has logged n outages.
func (s *stream) noticed(n int) {
	s.t.Helper()
	s.until(func() bool { return s.all(s.trouble, n) }, "each process tells of the trouble")
}

// recovered waits until results arrive again and each process has logged that. Of n outages, each
// process must log each beginning and each end once.
func (s *stream) recovered(n int) {
	s.t.Helper()
	took := s.flowing()
	s.t.Logf("the first result came after %v", took.Round(time.Millisecond))
	s.until(func() bool { return s.all(recovery, n) }, "each process tells that it is over")
	if !s.all(s.trouble, n) || !s.all(recovery, n) {
		s.t.Errorf("%d times trouble is told like this:\n%s", n, s.said[len(s.said)-1].all())
	}
}

func (s *stream) all(text string, n int) bool {
	for _, d := range s.said {
		if d.says(text) != n {
			return false
		}
	}
	return true
}

// inside returns the number of entries in the streams of the queues.
func (s *stream) inside(client *redis.Client) (n int64) {
	s.t.Helper()
	for _, key := range client.Keys(s.t.Context(), "{"+s.ns+":0}:[qr]:*").Val() {
		n += client.XLen(s.t.Context(), key).Val()
	}
	return n
}

// end ends the stream, which must deliver every element. The faults of Redis and the network must
// have ended no process.
func (s *stream) end() {
	s.t.Helper()
	close(s.stop)
	testkit.Eventually(s.t, func() bool {
		select {
		case <-s.ended:
			return true
		default:
			return false
		}
	}, "the stream ends")
	if wrong := s.wrong.Load(); wrong != nil {
		s.t.Fatal(*wrong)
	}
	if s.got.Load() != s.sent.Load() {
		s.t.Errorf("%d elements came of %d", s.got.Load(), s.sent.Load())
	}
	for _, d := range s.said {
		if d.says(dead) > 0 {
			s.t.Errorf("a process that lives is taken for dead:\n%s", d.all())
		}
	}
	s.t.Logf("%d elements", s.got.Load())
}

// admin returns a client for the actions of an operator.
func admin(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}
