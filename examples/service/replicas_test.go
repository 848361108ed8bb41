package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// TestMain lets the test binary be the program, so that a test can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("SERVICE_PROGRAM") != "" {
		main()
		os.Exit(0)
	}
	testkit.Main(m)
}

// start starts the program as a process of its own.
func start(t *testing.T, address string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SERVICE_PROGRAM=1", "DQBRIDGE_REDIS="+address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kill(cmd) })
	return cmd
}

// kill is kill -9.
func kill(cmd *exec.Cmd) error {
	return errors.Join(cmd.Process.Signal(syscall.SIGKILL), cmd.Wait())
}

// A replica is a process that answers requests, with clients that ask it one after the other.
type replica struct {
	cmd      *exec.Cmd
	client   http.Client
	url      string
	clients  sync.WaitGroup
	killed   atomic.Bool // a request may fail, which ends its client
	ending   atomic.Bool // the clients end
	answered atomic.Int64
}

// startReplica starts a replica and waits for its first answer.
func startReplica(t *testing.T, address string) *replica {
	t.Helper()
	listen := net.JoinHostPort("127.0.0.1", testkit.FreePort(t))
	r := &replica{cmd: start(t, address, "serve", listen), url: "http://" + listen, client: http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		r.end()
		r.client.CloseIdleConnections()
	})
	testkit.Eventually(t, func() bool {
		_, err := r.ask(Trip{"Paris", "Tokyo"})
		return err == nil
	}, "the replica answers")
	return r
}

// ask makes a request and returns its answer.
func (r *replica) ask(trip Trip) (string, error) {
	answer, err := r.client.Get(r.url + "/distance?" + url.Values{"from": {trip.From}, "to": {trip.To}}.Encode())
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(body)), errors.Join(err, answer.Body.Close())
}

// load starts clients, each of which asks for all trips again and again, from another one on.
func (r *replica) load(t *testing.T, trips []Trip, from int) {
	t.Helper()
	const clients = 4
	for c := range clients {
		r.clients.Go(func() {
			for i := from + c*len(trips)/(2*clients); !r.ending.Load(); i++ {
				trip := trips[i%len(trips)]
				got, err := r.ask(trip)
				if err != nil && r.killed.Load() {
					return
				}
				if want := answer(t, trip); err != nil || got != want {
					t.Errorf("%v: %q, %v, want %q", trip, got, err, want)
					return
				}
				r.answered.Add(1)
			}
		})
	}
}

// answers waits for n further answers.
func (r *replica) answers(t *testing.T, n int64) {
	t.Helper()
	want := r.answered.Load() + n
	testkit.Eventually(t, func() bool { return r.answered.Load() >= want || t.Failed() }, "the replica answers further requests")
}

// end ends the clients.
func (r *replica) end() {
	r.ending.Store(true)
	r.clients.Wait()
}

// answer is the answer to the request of a trip.
func answer(t *testing.T, trip Trip) string {
	leg, err := findBoth(t.Context(), trip)
	if err != nil {
		t.Error(err)
	}
	km, err := greatCircle(t.Context(), leg)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf(`{"km":%d}`, km)
}

// allTrips are the pairs of different capitals, each pair once.
func allTrips() (trips []Trip) {
	var cities []string
	for line := range strings.Lines(capitals) {
		city, _, _ := strings.Cut(line, ",")
		cities = append(cities, city)
	}
	for i, from := range cities[1:] {
		for _, to := range cities[i+2:] {
			trips = append(trips, Trip{from, to})
		}
	}
	return trips
}

// Two replicas with two workers answer different requests at the same time. One is killed while its requests run. The
// other one goes on, and a new one joins: each client gets the answer to its own request.
func TestReplicaIsKilled(t *testing.T) {
	t.Parallel()
	address := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	start(t, address, "worker")
	start(t, address, "worker")
	trips := allTrips()
	victim, other := startReplica(t, address), startReplica(t, address)
	victim.load(t, trips, 0)
	other.load(t, trips, len(trips)/2)
	victim.answers(t, 100)
	other.answers(t, 100)

	victim.killed.Store(true)
	_ = kill(victim.cmd)
	victim.clients.Wait()
	other.answers(t, 100)
	next := startReplica(t, address)
	next.load(t, trips, 0)
	next.answers(t, 100)
	other.answers(t, 100)
	next.end()
	other.end()
}
