package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

var (
	visitors = flag.Int("visits", 12, "visits of processes")
	long     = flag.Bool("long", false, "kill executors too, whose queues stay for ten minutes")
)

// costlier is the allowed ratio of the cost of an item after the visits to that before them. An
// object that each visit leaves behind and an item meets would cost at least a command for each of
// 12 visits, half as much again. A busy machine costs up to an eighth.
const costlier = 1.2

// A state holds the resources in use at rest.
type state struct {
	keys        inventory
	goroutines  int
	heap        uint64 // in bytes
	connections int64
	memory      int64 // of Redis, in bytes
	commands    float64
	micros      float64 // of Redis for an item
}

// A life is a service in this process, with other processes that come and go.
type life struct {
	server  *testkit.Server
	raw     *redis.Client
	service *executor.Executor
	worker  [2]*process
	gather  *process
	n       int
}

// Processes visit a real server, are replaced and killed. The resources in use at rest, and the
// cost of an item, are the same as after the first visits.
func TestYearOfProcesses(t *testing.T) {
	server := testkit.StartRedis(t)
	ex, err := executor.New(t.Context(), server.URL(), executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	l := &life{server: server, service: ex, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})}
	defer l.raw.Close()
	for i := range l.worker {
		l.worker[i] = start(t, role{Name: "work", URL: server.URL()})
	}
	if err := open(t.Context(), ex); err != nil {
		t.Fatal(err)
	}
	l.gather = start(t, role{Name: "gather", URL: server.URL()})
	l.visit(t, len(visits))
	before := l.rest(t, nil)
	began := time.Now()
	l.visit(t, *visitors)
	after := l.rest(t, before.keys)
	for begin := time.Now(); after.commands > costlier*before.commands && time.Since(begin) < 60*lease; {
		<-time.After(lease)
		l.measure(t, &after) // other tests on this machine make items more expensive while they run
	}
	t.Logf("%d visits in %v", l.n, time.Since(began).Round(time.Second))
	fmt.Print(table(before, after))
	for _, line := range after.keys.changed(before.keys, int64(l.n)) {
		t.Error(line)
	}
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines, %d before", after.goroutines, before.goroutines)
	}
	// A process has up to ten connections per processor for its calls, and closes idle ones.
	if most := before.connections + int64(10*runtime.GOMAXPROCS(0)); after.connections > most {
		t.Errorf("%d connections, at most %d are expected", after.connections, most)
	}
	if after.commands > costlier*before.commands {
		t.Errorf("an item costs %.3f commands, %.3f before", after.commands, before.commands)
	}
	err = errors.Join(l.gather.terminate(), ex.Delete(t.Context(), results), ex.Delete(t.Context(), orders),
		l.worker[0].terminate(), l.worker[1].terminate(), ex.Close())
	if err != nil {
		t.Error(err)
	}
	left, err := take(t.Context(), l.raw)
	if runs := left["entries runs"]; runs < 1 || runs > bounded["entries runs"](left, 0) {
		t.Errorf("the history has %d records of flows that have gone", runs)
	}
	delete(left, "keys runs")
	delete(left, "entries runs")
	if err != nil || len(left) > 0 {
		t.Errorf("keys are left: %v, %v", left, err)
	}
}

// visit makes n visits, four at a time, by the service and by processes.
func (l *life) visit(t *testing.T, visitors int) {
	t.Helper()
	for range (visitors + 3) / 4 {
		var running []*process
		killed := map[*process]bool{}
		for range 4 {
			p := start(t, role{Name: "visit", URL: l.server.URL(), N: l.n})
			running = append(running, p)
			killed[p] = *long && l.n%3 == 0
			if l.n++; l.n%40 == 0 {
				l.replace(t)
			}
		}
		own := visits[l.n/4%len(visits)]
		if err := own.run(t.Context(), l.service, l.n); err != nil {
			t.Errorf("visit of the service, %s: %v", own.name, err)
		}
		for _, p := range running {
			if killed[p] {
				p.kill()
			}
			if <-p.exited; p.err != nil && !killed[p] {
				t.Errorf("a visit failed: %v", p.err)
			}
		}
	}
}

// replace replaces a worker and the gather, alternately by a normal end and by a kill.
func (l *life) replace(t *testing.T) {
	t.Helper()
	i := l.n / 40 % 2
	old, gather := l.worker[i], l.gather
	l.worker[i] = start(t, role{Name: "work", URL: l.server.URL()})
	if l.n/80%2 == 0 {
		old.kill()
	} else if err := old.terminate(); err != nil {
		t.Errorf("a worker: %v", err)
	}
	if *long && l.n/80%2 == 0 {
		gather.kill()
	} else if err := gather.terminate(); err != nil {
		t.Errorf("a gather: %v", err)
	}
	l.gather = start(t, role{Name: "gather", URL: l.server.URL()})
}

// rest waits for the clean-ups after dead processes, and then measures.
func (l *life) rest(t *testing.T, want inventory) (s state) {
	t.Helper()
	for begin := time.Now(); ; {
		if err := tidy(t.Context(), l.service); err != nil {
			t.Fatal(err)
		}
		<-time.After(lease)
		var err error
		if s.keys, err = take(t.Context(), l.raw); err != nil {
			t.Fatal(err)
		}
		fenced := s.keys["keys fenced"] > 0
		if want == nil && !fenced || want != nil && len(s.keys.changed(want, int64(l.n))) == 0 || time.Since(begin) > 13*time.Minute {
			break
		}
		if !*long && time.Since(begin) > 60*lease {
			break
		}
	}
	l.measure(t, &s)
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap, s.goroutines = m.HeapAlloc, runtime.NumGoroutine()
	s.connections = l.info(t, "clients", "connected_clients")
	s.memory = l.info(t, "memory", "used_memory")
	return s
}

// measure returns the cost to Redis of an item that arrives alone: the minimum of some runs, since
// a busy machine makes the same runs more expensive.
func (l *life) measure(t *testing.T, s *state) {
	t.Helper()
	const runs, each = 7, 200
	var commands, micros []float64
	for range runs {
		in := make(chan int)
		q, err := bridge.Scatter(t.Context(), l.service, in)
		if err != nil {
			t.Fatal(err)
		}
		if q, err = executor.Map(t.Context(), inc, q); err != nil {
			t.Fatal(err)
		}
		out, err := bridge.Gather(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		in <- 0
		<-out
		calls, usec := l.spent(t)
		for i := range each {
			in <- i
			if r := <-out; r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		calls2, usec2 := l.spent(t)
		commands, micros = append(commands, float64(calls2-calls)/each), append(micros, float64(usec2-usec)/each)
		close(in)
		for range out {
		}
	}
	s.commands, s.micros = slices.Min(commands), slices.Min(micros)
}

// spent returns the work of Redis so far: commands of clients, and time.
func (l *life) spent(t *testing.T) (calls, micros int64) {
	t.Helper()
	text, err := l.raw.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !strings.HasPrefix(name, "cmdstat_") || name == "cmdstat_info" {
			continue
		}
		n, rest, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		usec, _, _ := strings.Cut(strings.TrimPrefix(rest, "usec="), ",")
		c, err1 := strconv.ParseInt(n, 10, 64)
		u, err2 := strconv.ParseInt(usec, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		calls += c
		if name == "cmdstat_evalsha" || name == "cmdstat_eval" || name == "cmdstat_xreadgroup" || name == "cmdstat_xread" {
			micros += u // the other commands run inside scripts
		}
	}
	return calls, micros
}

func (l *life) info(t *testing.T, section, field string) int64 {
	t.Helper()
	text, err := l.raw.Info(context.WithoutCancel(t.Context()), section).Result()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, field+":")
	value, _, _ := strings.Cut(text, "\r\n")
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// table formats two states side by side.
func table(before, after state) string {
	var b strings.Builder
	row := func(name string, x, y any) { fmt.Fprintf(&b, "| %s | %v | %v |\n", name, x, y) }
	fmt.Fprint(&b, "| at rest | before | after |\n|---|---|---|\n")
	for _, kind := range []string{"keys", "fields", "members", "entries", "consumers", "pending"} {
		row(kind, before.keys.total(kind), after.keys.total(kind))
	}
	row("goroutines of the service", before.goroutines, after.goroutines)
	row("heap of the service, KiB", before.heap>>10, after.heap>>10)
	row("connections", before.connections, after.connections)
	row("memory of Redis, KiB", before.memory>>10, after.memory>>10)
	row("commands for an item that comes alone", fmt.Sprintf("%.2f", before.commands), fmt.Sprintf("%.2f", after.commands))
	row("time of Redis for it, us", fmt.Sprintf("%.1f", before.micros), fmt.Sprintf("%.1f", after.micros))
	return b.String()
}
