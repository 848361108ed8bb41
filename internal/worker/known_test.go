package worker

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A worker at rings that has served a thousand stages keeps the latest ones and those with work. Counts of the
// others are reported, and it serves them again.
func TestStagesWithoutWorkAreForgotten(t *testing.T) {
	t.Parallel()
	p, f := newIdleFetcher(t)
	served, _, err := f.routes(t.Context(), nil, nil)
	if err != nil || len(served) != 1 {
		t.Fatalf("%d routes, %v", len(served), err)
	}
	served[0].passed(3, 1)
	now := time.Now()
	f.all = append(f.all, served[0])
	for i := range 1000 {
		f.all = append(f.all, &route{
			stage: broker.Stage{ID: fmt.Sprint("s", i)}, Route: broker.Route{In: fmt.Sprint("s", i)},
			active: now.Add(time.Duration(i)*time.Millisecond - time.Hour),
		})
	}
	f.all[1].jobs.Store(1)
	f.all[2].beyond = true
	f.all[3].readers, f.all[1000].readers = []*route{f.all[1000]}, []*route{f.all[4]}
	f.reporter.add(f.all)
	stream := p.Key("q:q0")
	if err := p.Raw.XGroupCreateConsumer(t.Context(), stream, "w", f.id).Err(); err != nil {
		t.Fatal(err)
	}
	if err := f.forgetIdle(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if names, err := p.Raw.XInfoConsumers(t.Context(), stream, "w").Result(); err != nil || len(names) > 0 {
		t.Errorf("the queue of a forgotten stage has the consumers %v, %v", names, err)
	}
	if len(f.all) != knownKept+3 || len(f.rings.known) != len(f.all) {
		t.Errorf("%d routes and %d queues are kept", len(f.all), len(f.rings.known))
	}
	for i, queue := range []string{"s0", "s1", "s3", "s999"} { // with work, waiting, behind the latest, the latest
		if f.rings.known[queue] == nil {
			t.Errorf("route %d of those that stay, %s, is forgotten", i, queue)
		}
	}
	if f.rings.known["q0"] != nil || f.rings.known["s2"] != nil {
		t.Error("a route without work is kept")
	}
	f.reporter.last = time.Time{}
	f.report(t.Context())
	if got := p.reported(t, "q1", 3).Counts; got.Items != 3 {
		t.Errorf("reported are %+v", got)
	}
	f.reporter.collect(now)
	if n := len(f.reporter.routes); n != len(f.all) {
		t.Errorf("the reporter keeps %d routes", n)
	}
	all, fresh, err := f.routes(t.Context(), f.all, []string{"q1"})
	if err != nil || len(all) != len(f.all)+1 || len(fresh) != 1 || fresh[0] == served[0] || !fresh[0].takable() {
		t.Errorf("with the next ring: %d routes, %d of them new, %v", len(all), len(fresh), err)
	}
}

// newIdleFetcher returns a fetcher that does not run, of a worker with the stage q1.
func newIdleFetcher(t *testing.T) (plant, *fetcher) {
	t.Helper()
	server := embedded.New()
	t.Cleanup(server.Close)
	world, _ := brokertest.Metered(t, server)
	p := newPlant(t, world, 0, "f")
	w, err := New("", Options{Client: p.C, Concurrency: 1, Functions: []*runner.Function{defined("f", double)}, Connection: connection.Settings{
		Options: broker.Options{Log: slog.New(slog.DiscardHandler)}, Lease: time.Second,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := w.newSession(p.C)
	if err := p.C.Join(t.Context(), broker.RoleWorker, s.id, w.card()); err != nil {
		t.Fatal(err)
	}
	return p, &fetcher{session: s, foreign: map[string]bool{}}
}
