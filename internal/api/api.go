// Package api answers requests of HTTP with the state of a namespace, as JSON: the records of package
// inspect. It only reads. All requests but those for one item, one queue's items, dead letters and the
// past of a stage are answered from one view of the namespace, however many come.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// Prefix begins the path of each route.
const Prefix = "/api/v1/"

// Times of the handlers.
const (
	retryAfter = 2 * time.Second  // while Redis is away
	redisLimit = 5 * time.Second  // of a request that reads Redis, and of the wait for the first view
	pingEvery  = 15 * time.Second // to the readers of events
	writeLimit = 10 * time.Second // of one event
)

// Views is the part of a watch.Watcher that a Handler uses.
type Views interface {
	Latest() (watch.View, <-chan struct{})
	Look() (end func())
}

// A handler answers all routes.
type handler struct {
	views     Views
	inspector executor.Inspector
	pools     scale.Keeper
	routes    http.ServeMux
}

// Handler returns a handler for all paths below Prefix. It takes the state of the namespace from views,
// and single items, dead letters and the past of stages from inspector. It answers GET and HEAD. The
// caller protects it: it answers every client.
func Handler(views Views, inspector executor.Inspector) http.Handler {
	h := &handler{views: views, inspector: inspector}
	for _, r := range routes() {
		h.routes.HandleFunc(Prefix+r.path, func(w http.ResponseWriter, request *http.Request) { h.answer(w, request, r) })
	}
	h.routes.HandleFunc(Prefix+"events", h.events)
	h.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, problem{http.StatusNotFound, "not_found", "there is no such route", "see docs/api.md"}, time.Time{})
	})
	return h
}

// ServeHTTP answers a request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, problem{http.StatusMethodNotAllowed, "method_not_allowed", "the method " + r.Method + " is not allowed", "use GET"}, time.Time{})
		return
	}
	h.routes.ServeHTTP(w, r)
}

// answer answers a request for a route.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, to route) {
	ctx, cancel := context.WithTimeout(r.Context(), redisLimit)
	defer cancel()
	v := h.view(ctx)
	if v.Err != nil || v.At.IsZero() {
		away(w, v)
		return
	}
	if to.view != nil && matches(r.Header.Get("If-None-Match"), tag(v)) {
		w.Header().Set("ETag", tag(v))
		w.WriteHeader(http.StatusNotModified)
		return
	}
	var body any
	var err error
	if to.view != nil {
		body, err = to.view(h, r, v)
	} else {
		body, err = to.read(ctx, h, r, v)
	}
	switch {
	case isAway(err):
		away(w, v)
		return
	case err != nil:
		refuse(w, problemOf(err), v.Snapshot.At)
		return
	case to.view != nil:
		w.Header().Set("ETag", tag(v))
	default:
		w.Header().Set("Cache-Control", "no-store")
	}
	write(w, http.StatusOK, body)
}

// view returns the newest view, and waits for the first one.
func (h *handler) view(ctx context.Context) watch.View {
	for {
		v, changed := h.views.Latest()
		if !v.At.IsZero() || v.Err != nil {
			return v
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v
		}
	}
}

// tag returns the entity tag of the answers from a view.
func tag(v watch.View) string { return `"` + viewID(v) + `"` }

// viewID returns the id of a view.
func viewID(v watch.View) string { return strconv.FormatInt(v.At.UnixNano(), 36) }

// matches reports whether a header If-None-Match has an entity tag.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}

// A problem is why a request has no answer.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do, "" if nothing
}

// Error returns the message.
func (p problem) Error() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + ": " + p.Hint
}

// A failure is the body of an answer with an error.
type failure struct {
	Error problem   `json:"error"`
	At    time.Time `json:"at,omitzero"` // of the last view; zero if there was none
}

// badRequest returns a problem of the parameters of a request.
func badRequest(message, hint string) problem {
	return problem{http.StatusBadRequest, "bad_request", message, hint}
}

func notFound(message, hint string) problem {
	return problem{http.StatusNotFound, "not_found", message, hint}
}

// problemOf returns the problem of an error.
func problemOf(err error) problem {
	var known problem
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, executor.ErrQueueNotFound):
		return notFound(err.Error(), "GET "+Prefix+"queues lists the queues")
	case errors.Is(err, executor.ErrDenied):
		return problem{http.StatusForbidden, "denied", err.Error(), "see docs/security.md"}
	}
	return badRequest(err.Error(), "")
}

// isAway reports whether an error means that Redis does not answer.
func isAway(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, executor.ErrUnreachable) || errors.Is(err, executor.ErrClosed)
}

// away answers while Redis is away.
func away(w http.ResponseWriter, v watch.View) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	message := "Redis does not answer"
	if v.Err != nil {
		message += ": " + v.Err.Error()
	}
	refuse(w, problem{http.StatusServiceUnavailable, "unavailable", message, "ask again; the last state is that of the time at"}, v.Snapshot.At)
}

func refuse(w http.ResponseWriter, p problem, at time.Time) {
	w.Header().Set("Cache-Control", "no-store")
	write(w, p.status, failure{p, at})
}

func write(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // a record with a number that JSON does not have
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer is not JSON","hint":""}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client has gone
}
