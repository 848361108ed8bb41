package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// maxNamed is the number of names of each kind that an event has at most. With more changes All is true.
const maxNamed = 200

// An Event says that there is a new view, and what has changed since the one before.
type Event struct {
	At      time.Time `json:"at"`
	All     bool      `json:"all,omitempty"` // everything may have changed; the following are empty
	Queues  []string  `json:"queues,omitempty"`
	Stages  []string  `json:"stages,omitempty"`
	Sources []string  `json:"sources,omitempty"`
	Gathers []string  `json:"gathers,omitempty"`
	Workers []string  `json:"workers,omitempty"`
	Error   string    `json:"error,omitempty"` // why the namespace cannot be read now
}

// events streams an event for each new view. While a client reads them, views come more often.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	defer h.views.Look()()
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeLimit)) // not all writers have deadlines
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var last watch.View
	if v, _ := h.views.Latest(); r.Header.Get("Last-Event-ID") == viewID(v) {
		last, last.Err = v, nil
	}
	for ok := send("retry: %d\n\n", retryAfter.Milliseconds()); ok; {
		v, changed := h.views.Latest()
		if e, isNew := change(last, v); isNew {
			text, err := json.Marshal(e)
			if ok = err == nil && send("id: %s\nevent: view\ndata: %s\n\n", viewID(v), text); !ok {
				return
			}
		}
		last = v
		select {
		case <-changed:
		case <-ping.C:
			ok = send(": ping\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// change returns the event for a view behind another one. isNew is false if there is nothing to say.
func change(last, v watch.View) (e Event, isNew bool) {
	e = Event{At: v.Snapshot.At, All: last.At.IsZero()}
	switch {
	case v.Err != nil:
		e.Error = v.Err.Error()
		return e, last.Err == nil
	case v.At.IsZero() || v.At.Equal(last.At):
		return e, false
	case e.All:
		return e, true
	}
	a, b := last.Snapshot, v.Snapshot
	e.Queues = changed(a.Queues, b.Queues, func(q inspect.Queue) string { return q.Name })
	e.Stages = changed(a.Stages, b.Stages, func(s inspect.Stage) string { return s.ID })
	e.Sources = changed(a.Sources, b.Sources, func(s inspect.Source) string { return s.Name })
	e.Gathers = changed(a.Gathers, b.Gathers, func(g inspect.Gather) string { return g.Queue })
	e.Workers = changed(a.Workers, b.Workers, func(w inspect.Worker) string { return w.ID })
	if max(len(e.Queues), len(e.Stages), len(e.Sources), len(e.Gathers), len(e.Workers)) > maxNamed {
		e = Event{At: e.At, All: true}
	}
	return e, true
}

// changed returns the names of the rows that are new, different or gone.
func changed[T any](before, after []T, name func(T) string) (names []string) {
	old := make(map[string][]T, len(before))
	for _, row := range before {
		old[name(row)] = append(old[name(row)], row)
	}
	for _, row := range after {
		same := old[name(row)]
		if len(same) == 0 || !reflect.DeepEqual(same[0], row) {
			names = append(names, name(row))
		}
		if len(same) > 0 {
			old[name(row)] = same[1:]
		}
	}
	for _, row := range before {
		if left := old[name(row)]; len(left) > 0 {
			old[name(row)] = left[1:]
			names = append(names, name(row))
		}
	}
	return names
}
