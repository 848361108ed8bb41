package testkit

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func isIncr(req []byte) bool { return bytes.Contains(bytes.ToLower(req), []byte("incr")) }

func TestLostReplyFollowsExecutedRequest(t *testing.T) {
	t.Parallel()
	s, key := SharedRedis(t), Namespace(t)
	p := NewProxy(t, s.Addr())
	lost := p.CutAfterRequest(isIncr)
	client := dial(t, p.URL())
	if err := client.Set(t.Context(), key, 5, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Incr(t.Context(), key).Result(); err == nil {
		t.Fatalf("got the reply %d that was to be lost", n)
	}
	<-lost
	if n, err := client.Incr(t.Context(), key).Result(); err != nil || n != 7 {
		t.Fatalf("got %d, %v by the second increment of 5", n, err)
	}
}

func TestLostReplyOfLargeRequest(t *testing.T) {
	t.Parallel()
	s, key := SharedRedis(t), Namespace(t)
	p := NewProxy(t, s.Addr())
	lost := p.CutAfterRequest(func(req []byte) bool { return bytes.Contains(req, []byte(key)) })
	value := strings.Repeat("x", 4<<20)
	if err := dial(t, p.URL()).Set(t.Context(), key, value, time.Minute).Err(); err == nil {
		t.Fatal("got the reply that was to be lost")
	}
	<-lost
	if n, err := dial(t, s.URL()).StrLen(t.Context(), key).Result(); err != nil || n != int64(len(value)) {
		t.Fatalf("the server has %d bytes, %v", n, err)
	}
}

func TestCutAllowsNewConnections(t *testing.T) {
	t.Parallel()
	s, key := SharedRedis(t), Namespace(t)
	p := NewProxy(t, s.Addr())
	client := dial(t, p.URL())
	failed := make(chan error, 1)
	go func() { failed <- client.BLPop(context.WithoutCancel(t.Context()), 0, key).Err() }()
	direct := dial(t, s.URL())
	Eventually(t, func() bool {
		list, err := direct.ClientList(t.Context()).Result()
		return err == nil && strings.Contains(list, "cmd=blpop")
	}, "the server holds a blocked read")
	p.Cut()
	if err := <-failed; err == nil || errors.Is(err, redis.Nil) {
		t.Fatalf("a cut read returned %v", err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPausedBytesArriveOnResume(t *testing.T) {
	t.Parallel()
	s, key := SharedRedis(t), Namespace(t)
	p := NewProxy(t, s.Addr())
	client, direct := dial(t, p.URL()), dial(t, s.URL())
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.Pause()
	p.Pause()
	done := make(chan error, 1)
	go func() { done <- client.Set(t.Context(), key, 1, time.Minute).Err() }()
	select {
	case err := <-done:
		t.Fatalf("a write came through a paused proxy: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if n := direct.Exists(t.Context(), key).Val(); n != 0 {
		t.Fatal("the server has what is held back")
	}
	p.Resume()
	p.Resume()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestProxyOfDeadServerRefuses(t *testing.T) {
	t.Parallel()
	s := StartRedis(t)
	p := NewProxy(t, s.Addr())
	s.Kill()
	if err := dial(t, p.URL()).Ping(t.Context()).Err(); err == nil {
		t.Fatal("a dead server answered")
	}
	s.Restart()
	if err := dial(t, p.URL()).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestLineDelaysSlicesAndCuts(t *testing.T) {
	t.Parallel()
	s := SharedRedis(t)
	p := NewProxy(t, s.Addr())
	var asked atomic.Int64
	p.Shape(Line{Slice: 3, Delay: func() time.Duration { asked.Add(1); return time.Millisecond }})
	client := dial(t, p.URL())
	if got, err := client.Echo(t.Context(), "a long text").Result(); got != "a long text" {
		t.Fatalf("got %q, %v over a thin line", got, err)
	}
	if asked.Load() < 10 {
		t.Fatalf("%d slices passed", asked.Load())
	}
	p.Shape(Line{Budget: func() int { return 7 }})
	if err := dial(t, p.URL()).Ping(t.Context()).Err(); err == nil {
		t.Fatal("14 bytes passed a line that is cut after 7")
	}
	p.Shape(Line{})
	if err := dial(t, p.URL()).Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}
