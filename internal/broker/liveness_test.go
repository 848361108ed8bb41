package broker_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A testProcess is a process of a test with its own connections. It sends a heartbeat when the test
// calls beat, and its lease outlasts the test.
type testProcess struct {
	*broker.Lease
	c   *broker.Client
	r   broker.Role
	id  string
	log *bytes.Buffer
	die func() // stops reading its mailbox and closes the connection
}

// startProcess makes a process that has recorded its liveness connection.
func startProcess(t *testing.T, url string, r broker.Role, id string) testProcess {
	t.Helper()
	s := testProcess{r: r, id: id, log: new(bytes.Buffer)}
	c, err := broker.Open(url, broker.Options{Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	s.c = opened(t, c, err)
	if err := s.c.Join(t.Context(), r, id, nil); err != nil {
		t.Fatal(err)
	}
	s.Lease = s.c.Lease(r, id, time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	reader, ended := s.Reader(time.Second), make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, _, err := reader.Read(ctx, nil, 1, time.Second); err != nil {
				<-time.After(10 * time.Millisecond) // the next read connects again
			}
		}
	}()
	s.die = func() {
		stop()
		reader.Interrupt()
		<-ended
		_ = reader.Close() // also closed at the end of the test
	}
	t.Cleanup(s.die)
	s.beat(t)
	return s
}

func (s testProcess) beat(t *testing.T) {
	t.Helper()
	if _, err := s.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// conn returns the connection in the card.
func (s testProcess) conn(t *testing.T) string {
	t.Helper()
	return s.c.Raw().HGet(t.Context(), s.c.Key(string(s.r[0])+":"+s.id), "conn").Val()
}

// beatUntilConn sends heartbeats when they are due, at once after a change of the connection, until
// the card has another connection than old.
func (s testProcess) beatUntilConn(t *testing.T, old string) string {
	t.Helper()
	for {
		if conn := s.conn(t); conn != "" && conn != old {
			return conn
		}
		if !s.Wait(t.Context()) {
			t.Fatal("the test is over")
		}
		s.beat(t)
	}
}

// late makes the last heartbeat of a process an old one.
func (s testProcess) late(t *testing.T) {
	t.Helper()
	long := float64((30 * time.Second).Milliseconds())
	if err := s.c.Raw().ZIncrBy(t.Context(), s.c.Key(string(s.r)+"s"), -long, s.id).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s testProcess) isRegistered(t *testing.T) bool {
	t.Helper()
	return slices.Contains(s.c.Raw().ZRange(t.Context(), s.c.Key(string(s.r)+"s"), 0, -1).Val(), s.id)
}

// livenessCases are events in the life of a process, and whether it is alive afterwards.
var livenessCases = []struct {
	name  string
	does  func(t *testing.T, s, watcher testProcess)
	alive bool
}{
	{"dies", func(t *testing.T, s, _ testProcess) { t.Helper(); s.die(); s.late(t) }, false},
	{"stands still", func(t *testing.T, s, _ testProcess) { t.Helper(); s.late(t) }, true},
	{"dies in time", func(_ *testing.T, s, _ testProcess) { s.die() }, true},
	{"is another version", func(t *testing.T, s, _ testProcess) {
		t.Helper()
		s.die()
		s.late(t)
		s.c.Raw().HDel(t.Context(), s.c.Key("w:w1"), "conn")
	}, true},
	{"beat too early", func(t *testing.T, s, watcher testProcess) {
		t.Helper()
		s.die()
		s.late(t)
		watcher.Aged(-time.Minute)
	}, true},
	{"dies with the watcher", func(t *testing.T, s, watcher testProcess) {
		t.Helper()
		s.die()
		s.late(t)
		watcher.die()
	}, true},
	{"comes back", func(t *testing.T, s, watcher testProcess) {
		t.Helper()
		old := s.conn(t)
		s.late(t)
		if err := s.c.Raw().ClientKillByFilter(t.Context(), "ID", old).Err(); err != nil {
			t.Fatal(err)
		}
		watcher.beat(t)
		s.beatUntilConn(t, old)
		s.late(t)
	}, true},
}

// A dead process is detected by its connection, and no other process is.
func TestClosedConnectionMeansDeath(t *testing.T) {
	t.Parallel()
	for _, c := range livenessCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
			watcher := startProcess(t, url, broker.RoleExecutor, "x1")
			s := startProcess(t, url, broker.RoleWorker, "w1")
			s.beatUntilConn(t, "")
			watcher.beatUntilConn(t, "")
			watcher.Aged(time.Minute)
			c.does(t, s, watcher)
			suspected := func() bool { watcher.beat(t); return len(watcher.Suspects()) > 0 }
			if c.alive {
				if suspected() || !s.isRegistered(t) {
					t.Errorf("suspected are %q, and it lives: %v", watcher.Suspects(), s.isRegistered(t))
				}
				return
			}
			testkit.Eventually(t, suspected, "its connection is missed")
			if !s.isRegistered(t) {
				t.Fatal("one look was enough")
			}
			for s.isRegistered(t) && watcher.Wait(t.Context()) { // takes a second
				watcher.beat(t)
			}
			if dead := s.c.Raw().HKeys(t.Context(), s.c.Key("fenced")).Val(); !slices.Equal(dead, []string{"w:w1"}) {
				t.Errorf("dead are %q", dead)
			}
		})
	}
}

// If the server does not list connections to a user, or does not report their ids, only the lease
// counts, without a warning.
func TestLeaseCountsWithoutClientList(t *testing.T) {
	t.Parallel()
	for _, denied := range []string{"-client|list", "-client"} {
		t.Run(denied, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t)
			url := server.URL()
			watcher := startProcess(t, url, broker.RoleExecutor, "x1")
			s := startProcess(t, url, broker.RoleWorker, "w1")
			s.beatUntilConn(t, "")
			watcher.beatUntilConn(t, "")
			watcher.Aged(time.Minute)
			if err := s.c.Raw().Do(t.Context(), "ACL", "SETUSER", "default", denied).Err(); err != nil {
				t.Fatal(err)
			}
			other := startProcess(t, url, broker.RoleWorker, "w2")
			s.die()
			s.late(t)
			for range 3 {
				watcher.beat(t)
				other.beat(t)
			}
			if suspects := watcher.Suspects(); len(suspects) > 0 || !s.isRegistered(t) {
				t.Errorf("suspected are %q, and it lives: %v", suspects, s.isRegistered(t))
			}
			if conn := other.conn(t); (conn != "") != (denied == "-client|list") {
				t.Errorf("the connection of the other one is %q", conn)
			}
			watcher.die()
			other.die()
			for _, said := range []string{watcher.log.String(), other.log.String()} {
				if strings.Count(said, "level=DEBUG") > 1 || strings.Contains(said, "level=INFO") || strings.Contains(said, "level=WARN") {
					t.Error(said)
				}
			}
			if strings.Count(watcher.log.String(), "only the lease counts") != 1 {
				t.Error("the watcher does not say that it does not see connections")
			}
		})
	}
}
