package pages

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// idleLimit is the time for which pages stay connected to Redis after the last request.
const idleLimit = time.Minute

// A Handler is a handler of pages that connects to Redis with the first request of a user, and
// disconnects a minute after the last one. Meanwhile it sends nothing to Redis. Requests that the guards of the pages
// refuse do not connect.
type Handler struct {
	connect func(context.Context) (executor.Inspector, error)
	options page.Options
	front   *page.Page // for refusals, the token and static files: it has no namespace

	mu     sync.Mutex
	live   *connected // nil: not connected
	users  int        // requests that run
	idle   *time.Timer
	closed bool
}

// connected are pages that read a namespace.
type connected struct {
	inspector executor.Inspector
	watcher   *watch.Watcher
	page      *page.Page
}

func (c *connected) close() {
	c.page.Close()
	c.watcher.Close()
	_ = c.inspector.Close() // it has only read
}

// New returns pages for the namespace to which connect connects.
func New(options page.Options, connect func(context.Context) (executor.Inspector, error)) (*Handler, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	options.Secret = secret
	ended, end := context.WithCancel(context.Background())
	end()
	nothing := watch.Start(ended, unread{}, slog.New(slog.DiscardHandler))
	defer nothing.Close()
	front, err := page.New(ended, unread{}, nothing, options)
	if err != nil {
		return nil, err
	}
	front.Close()
	return &Handler{connect: connect, options: options, front: front}, nil
}

// An unread namespace is never read.
type unread struct{ executor.Inspector }

func (unread) Snapshot(context.Context) (inspect.Snapshot, error) {
	return inspect.Snapshot{}, errors.New("the namespace is not read")
}

// ServeHTTP serves a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.front.Admits(r) {
		h.front.ServeHTTP(w, r)
		return
	}
	p, err := h.enter(r.Context())
	if err != nil {
		h.front.Unavailable(w, r, err)
		return
	}
	defer h.leave()
	p.ServeHTTP(w, r)
}

// enter returns the pages for a request, which calls leave at its end.
func (h *Handler) enter(ctx context.Context) (*page.Page, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, executor.ErrClosed
	}
	if h.live == nil {
		own := context.WithoutCancel(ctx) // the pages outlive the request
		inspector, err := h.connect(own)
		if err != nil {
			return nil, err
		}

		watcher := watch.Start(own, inspector, h.options.Log)
		p, err := page.New(own, inspector, watcher, h.options)
		if err != nil {
			watcher.Close()
			return nil, errors.Join(err, inspector.Close())
		}
		h.live = &connected{inspector, watcher, p}
	}
	h.users++
	if h.idle != nil {
		h.idle.Stop()
	}
	return h.live.page, nil
}

// leave ends a request.
func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users--; h.users == 0 && !h.closed {
		h.idle = time.AfterFunc(idleLimit, h.disconnect)
	}
}

// disconnect closes the pages, unless a request has come meanwhile.
func (h *Handler) disconnect() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 && h.live != nil {
		h.live.close()
		h.live = nil
	}
}

// Close disconnects and ends the streams of events. It is called when no request runs any more.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	if h.idle != nil {
		h.idle.Stop()
	}
	h.mu.Unlock()
	h.disconnect()
}
