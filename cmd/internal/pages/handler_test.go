package pages_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/pages"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// A namespace counts its connections and reads.
type namespace struct {
	executor.Inspector
	made, closed, reads atomic.Int64
	err                 error // of a connection
}

func (n *namespace) connect(context.Context) (executor.Inspector, error) {
	n.made.Add(1)
	return n, n.err
}

func (n *namespace) Snapshot(context.Context) (inspect.Snapshot, error) {
	n.reads.Add(1)
	return inspect.Snapshot{At: time.Now()}, nil
}

func (n *namespace) Errors(context.Context) ([]inspect.ErrorGroup, error) { return nil, nil }
func (n *namespace) Server(context.Context) (inspect.Server, error)       { return inspect.Server{}, nil }
func (n *namespace) MarkWatched(context.Context) error                    { return nil }

func (n *namespace) Close() error {
	n.closed.Add(1)
	return nil
}

const token = "0123456789abcdef"

// ask returns the status and the text of an answer.
func ask(ctx context.Context, l http.Handler, method, path string, change ...func(*http.Request)) (int, string) {
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.Host = "localhost:9464"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

func signedIn(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }

// Redis is read while a user looks and a minute longer, and not for those that the guards refuse.
func TestPagesReadWhileUsersLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{}
		l, err := pages.New(page.Options{Token: token}, n.connect)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, c := range []struct {
			method, path string
			change       func(*http.Request)
			want         int
		}{
			{http.MethodGet, "/", func(*http.Request) {}, http.StatusUnauthorized},
			{http.MethodGet, "/api/v1/workers", func(*http.Request) {}, http.StatusUnauthorized},
			{http.MethodGet, "/", func(r *http.Request) { signedIn(r); r.Host = "evil.example.com" }, http.StatusForbidden},
			{http.MethodGet, "/login", func(*http.Request) {}, http.StatusOK},
			{http.MethodGet, "/healthz", signedIn, http.StatusOK},
		} {
			if got, text := ask(t.Context(), l, c.method, c.path, c.change); got != c.want {
				t.Errorf("%s %s: %d, not %d: %s", c.method, c.path, got, c.want, text)
			}
		}
		<-time.After(time.Hour)
		if n.made.Load() != 0 || n.reads.Load() != 0 {
			t.Errorf("nobody looks: %d connections, %d reads", n.made.Load(), n.reads.Load())
		}
		for range 3 {
			if got, text := ask(t.Context(), l, http.MethodGet, "/", signedIn); got != http.StatusOK {
				t.Errorf("/: %d %s", got, text)
			}
			<-time.After(30 * time.Second)
		}
		if n.made.Load() != 1 || n.closed.Load() != 0 || n.reads.Load() == 0 {
			t.Errorf("a user looks: %d connections, %d closed, %d reads", n.made.Load(), n.closed.Load(), n.reads.Load())
		}
		watching, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		ask(watching, l, http.MethodGet, "/events?at=/", signedIn)
		if n.made.Load() != 1 || n.closed.Load() != 0 {
			t.Errorf("a user has watched for an hour: %d connections, %d closed", n.made.Load(), n.closed.Load())
		}
		<-time.After(time.Hour)
		if reads := n.reads.Load(); n.closed.Load() != 1 || reads < 1000 {
			t.Errorf("an hour later: %d closed, %d reads", n.closed.Load(), reads)
		}
		reads := n.reads.Load()
		<-time.After(time.Hour)
		if n.reads.Load() != reads {
			t.Errorf("%d reads while nobody looks", n.reads.Load()-reads)
		}
		if got, _ := ask(t.Context(), l, http.MethodGet, "/", signedIn); got != http.StatusOK || n.made.Load() != 2 {
			t.Errorf("after a pause: %d, %d connections", got, n.made.Load())
		}
	})
}

// A user who has signed in stays so when the pages disconnect.
func TestCookieOutlivesConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{}
		l, err := pages.New(page.Options{Token: token}, n.connect)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader("token="+token+"&to=/"))
		r.Host = "localhost:9464"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://localhost:9464")
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		cookies := w.Result().Cookies()
		if len(cookies) != 1 || n.made.Load() != 0 {
			t.Fatalf("login: %d, %d cookies, %d connections", w.Code, len(cookies), n.made.Load())
		}
		for range 2 {
			if got, text := ask(t.Context(), l, http.MethodGet, "/", func(r *http.Request) { r.AddCookie(cookies[0]) }); got != http.StatusOK {
				t.Errorf("with the cookie: %d %s", got, text)
			}
			<-time.After(time.Hour)
		}
	})
}

// While Redis is away the page says so, and tries again with the next request.
func TestPagesSayThatRedisIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namespace{err: errors.New("NOPERM this user has no permissions")}
		l, err := pages.New(page.Options{}, n.connect)
		if err != nil {
			t.Fatal(err)
		}
		if got, text := ask(t.Context(), l, http.MethodGet, "/"); got != http.StatusServiceUnavailable || !strings.Contains(text, "this user has no permissions") {
			t.Errorf("%d %s", got, text)
		}
		n.err = nil
		if got, _ := ask(t.Context(), l, http.MethodGet, "/"); got != http.StatusOK {
			t.Errorf("afterwards: %d", got)
		}
		l.Close()
		if got, _ := ask(t.Context(), l, http.MethodGet, "/"); got != http.StatusServiceUnavailable || n.closed.Load() != 1 {
			t.Errorf("after Close: %d, %d closed", got, n.closed.Load())
		}
	})
}
