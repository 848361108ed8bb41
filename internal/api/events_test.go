package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/api"
)

// A stream is an answer to a request for events, and the lines that have come.
type stream struct {
	*http.Response
	lines *bufio.Scanner
}

// listen asks for events on a connection in memory, which moves in virtual time.
func listen(t *testing.T, v *views, last string) stream {
	t.Helper()
	server := httptest.NewUnstartedServer(api.Handler(v, fixed{}))
	pipe := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{}), address: server.Listener.Addr()}
	_ = server.Listener.Close()
	server.Listener = pipe
	server.Start()
	t.Cleanup(server.Close)
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return pipe.dial() }}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dqbridge"+api.Prefix+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = answer.Body.Close()
		client.CloseIdleConnections()
	})
	return stream{answer, bufio.NewScanner(answer.Body)}
}

// next returns the next block of lines.
func (s stream) next() string {
	var block []string
	for s.lines.Scan() && s.lines.Text() != "" {
		block = append(block, s.lines.Text())
	}
	return strings.Join(block, "\n")
}

// event returns the next event and its id.
func (s stream) event(t *testing.T) (e api.Event, id string) {
	t.Helper()
	block := s.next()
	id, data, found := strings.Cut(block, "\nevent: view\ndata: ")
	if !found || json.Unmarshal([]byte(data), &e) != nil {
		t.Fatalf("no event: %q", block)
	}
	return e, strings.TrimPrefix(id, "id: ")
}

// A pipeListener accepts the other ends of pipes.
type pipeListener struct {
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
	address net.Addr
}

func (l *pipeListener) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.address }

func TestEventsNameWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViews(view())
		s := listen(t, v, "")
		if got := s.next(); got != "retry: 2000" || s.Header.Get("Content-Type") != "text/event-stream" || s.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("it begins with %q, %v", got, s.Header)
		}
		if e, _ := s.event(t); !e.All || !e.At.Equal(at) {
			t.Errorf("the first event: %+v", e)
		}
		if v.lookers() != 1 {
			t.Errorf("%d look", v.lookers())
		}
		next := view()
		next.At, next.Snapshot.At = at.Add(2*time.Second), at.Add(2*time.Second)
		next.Snapshot.Queues[1].Waiting++
		next.Snapshot.Sources = nil
		v.set(next)
		e, id := s.event(t)
		if text, _ := json.Marshal(e); string(text) != `{"at":"2025-11-29T20:00:02Z","queues":["orders"],"sources":["s.3737"]}` {
			t.Errorf("the second event: %s", text)
		}
		away := next
		away.Err = errors.New("no route to host")
		v.set(away)
		if e, _ := s.event(t); e.Error != "no route to host" {
			t.Errorf("during an outage: %+v", e)
		}
		v.set(away)
		if got := s.next(); got != ": ping" {
			t.Errorf("the same outage again: %q", got)
		}
		again := listen(t, newViews(next), id)
		if first, second := again.next(), again.next(); first != "retry: 2000" || second != ": ping" {
			t.Errorf("after a break without a new view: %q, %q", first, second)
		}
		_ = s.Body.Close()
		synctest.Wait()
		if v.lookers() != 0 {
			t.Errorf("%d look behind the end", v.lookers())
		}
	})
}
