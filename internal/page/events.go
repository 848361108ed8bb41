package page

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The times of a stream of events.
const (
	pingPause  = 15 * time.Second // after which a stream without news shows that it is alive
	writeLimit = 10 * time.Second // for a client that does not read
)

// events sends the page at the address of the parameter "at" again for each new state, until the
// client goes away or the Page is closed.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	at, err := url.Parse(p.local(r.URL.Query().Get("at")))
	if err != nil {
		http.Error(w, "at: it is no address of a page", http.StatusBadRequest)
		return
	}
	v, ok := find(strings.TrimPrefix(at.Path, p.Prefix))
	if !ok {
		http.NotFound(w, r)
		return
	}
	end := p.watcher.Look()
	defer end()
	asked := r.Clone(r.Context())
	asked.URL = at
	w.Header().Set("Content-Type", "text/event-stream")
	out := stream{ResponseWriter: w, control: http.NewResponseController(w)}
	if out.send("retry: 2000\n\n") != nil {
		return
	}
	last, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	for shown := int64(0); ; {
		s, changed := p.keeper.now()
		number, moved := p.long.now()
		if s != nil && !s.At.IsZero() && (s.number != last || number != shown) {
			last, shown = s.number, number
			if out.send(p.event(r.Context(), asked, v, s)) != nil {
				return
			}
		}
		if !out.wait(r.Context(), changed, moved, p.keeper.done) {
			return
		}
	}
}

// event returns a state as an event.
func (p *Page) event(ctx context.Context, asked *http.Request, v view, s *state) string {
	f := p.frame(asked, v, s)
	p.fill(ctx, &f, v, s)
	text, err := p.execute("live", f)
	if err != nil {
		p.Log.ErrorContext(ctx, "a page cannot be shown", "page", v.path, "err", err)
		return ": no page\n\n"
	}
	var event bytes.Buffer
	event.WriteString("id: " + strconv.FormatInt(s.number, 10) + "\nevent: view\n")
	for line := range bytes.Lines(text) {
		event.WriteString("data: ")
		event.Write(bytes.TrimRight(line, "\r\n"))
		event.WriteByte('\n')
	}
	event.WriteByte('\n')
	return event.String()
}

// A stream is a response with server-sent events.
type stream struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (s stream) send(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit)) // a ResponseWriter of a test has none
	if _, err := s.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// wait returns true if there is news, and false at the end of the stream.
func (s stream) wait(ctx context.Context, changed, moved, closed <-chan struct{}) bool {
	ping := time.NewTimer(pingPause)
	defer ping.Stop()
	select {
	case <-changed:
		return true
	case <-moved: // an action
		return true
	case <-ping.C:
		return s.send(": ping\n\n") == nil
	case <-ctx.Done():
		return false
	case <-closed:
		return false
	}
}
