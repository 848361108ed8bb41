package page

import (
	"context"
	"net/http"
	"strings"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/api"
)

// health is the path by which a container is probed.
const health = "/healthz"

// serveAPI registers what programs ask for: the API and the probe. The end of the page ends the
// streams of the API.
func (p *Page) serveAPI() {
	answers := http.StripPrefix(p.Prefix, api.Handler(p.watcher, p.inspector))
	p.mux.HandleFunc(p.Prefix+api.Prefix, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer p.keeper.atEnd(cancel)()
		answers.ServeHTTP(w, r.WithContext(ctx))
	})
	p.mux.HandleFunc("GET "+p.Prefix+health, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // the client is gone
	})
}

// forAPI reports whether a request is one of the API, which only reads.
func (p *Page) forAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, p.Prefix+api.Prefix)
}

// A sizesOnly is an Inspector that shows the sizes of the items of queues in place of the items.
type sizesOnly struct{ executor.Inspector }

// Peek returns items without their texts.
func (s sizesOnly) Peek(ctx context.Context, queue, from string, count int) (inspect.Page, error) {
	page, err := s.Inspector.Peek(ctx, queue, from, count)
	for i := range page.Items {
		page.Items[i].Text, page.Items[i].Cut = "", true
	}
	return page, err
}
