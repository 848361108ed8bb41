// Package page shows a namespace as web pages: flows, stages, queues, workers, failures, dead letters
// and the Redis server. A page is whole without scripts. With them, it follows the namespace by server-sent
// events. All pages of a process share the reads of one Watcher, with package internal/api, which
// answers programs below the same path.
package page

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
)

// Options are the settings of a Page.
type Options struct {
	Name         string            // of the namespace, as the page shows it
	Prefix       string            // of all paths, such as "/dqbridge"; "" for none
	Hosts        []string          // names of this page besides those of the loopback
	Token        string            // that a user has to enter, "" for none
	HidePayloads bool              // show sizes in place of items
	Operator     *operate.Operator // runs actions; nil for a page that only reads
	As           string            // name under which actions are recorded
	Secret       []byte            // signs the tokens of forms and cookies; nil: a new one
	Log          *slog.Logger
}

// A Page is the handler of all pages of a namespace.
type Page struct {
	Options
	inspector executor.Inspector
	watcher   *watch.Watcher
	keeper    *keeper
	long      *longActs
	histories histories
	searches  searches
	ended     endedFlows
	templates *template.Template
	mux       *http.ServeMux
	hosts     map[string]bool
	files     map[string]file
}

// New returns a Page. The caller closes it before the Watcher and the Inspector. The end of ctx ends
// its streams of events.
func New(ctx context.Context, inspector executor.Inspector, watcher *watch.Watcher, options Options) (*Page, error) {
	if options.Prefix != "" && (!strings.HasPrefix(options.Prefix, "/") || strings.HasSuffix(options.Prefix, "/")) {
		return nil, fmt.Errorf("page: prefix %q: it must begin with a slash and end without one", options.Prefix)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	options.Name = cmp.Or(options.Name, "dqbridge")
	if options.HidePayloads {
		inspector = sizesOnly{inspector}
	}
	p := &Page{Options: options, inspector: inspector, watcher: watcher, mux: http.NewServeMux(), files: staticFiles()}
	if p.Secret == nil {
		p.Secret = make([]byte, 32)
		_, _ = rand.Read(p.Secret) // it never fails
	}
	p.hosts = hostNames(options.Hosts)
	templates, err := template.New("").Funcs(p.functions()).ParseFS(assets, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	p.templates = templates
	p.keeper, p.long = keep(ctx, watcher), newLongActs(ctx)
	p.routes()
	return p, nil
}

// Close stops the actions that run, ends the streams of events, and waits for them and for the
// goroutine that follows the Watcher.
func (p *Page) Close() {
	p.long.close()
	p.keeper.close()
}

// routes registers all paths.
func (p *Page) routes() {
	for _, v := range views {
		p.mux.HandleFunc("GET "+p.Prefix+v.pattern(), func(w http.ResponseWriter, r *http.Request) { p.show(w, r, v) })
	}
	p.mux.HandleFunc("GET "+p.Prefix+"/events", p.events)
	p.mux.HandleFunc("GET "+p.Prefix+"/static/{name}", p.static)
	p.mux.HandleFunc("GET "+p.Prefix+"/login", p.askToken)
	p.mux.HandleFunc("POST "+p.Prefix+"/login", p.login)
	for name := range acts {
		p.mux.HandleFunc("POST "+p.Prefix+"/act/"+name, func(w http.ResponseWriter, r *http.Request) { p.act(w, r, name) })
	}
	p.serveAPI()
	p.mux.HandleFunc(p.Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, http.StatusNotFound, "There is no such page.")
	})
}

// ServeHTTP serves a request, if it comes from a page of this host and its user has the token.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	switch {
	case !p.hosts[hostOf(r.Host)]:
		http.Error(w, "This name of the host is not allowed here: give it with --host.", http.StatusForbidden)
	case r.Method == http.MethodPost && !p.forAPI(r) && !sameOrigin(r):
		http.Error(w, "The request does not come from a page of this host.", http.StatusForbidden)
	case !p.signedIn(r) && !p.open(r):
		p.refuse(w, r)
	default:
		p.mux.ServeHTTP(w, r)
	}
}

// Admits reports whether a request needs the namespace and may have it: it comes from a user with the
// token, to a name of this host.
func (p *Page) Admits(r *http.Request) bool {
	return p.hosts[hostOf(r.Host)] && p.signedIn(r) && !p.open(r)
}

// Unavailable answers a request for which the namespace cannot be read.
func (p *Page) Unavailable(w http.ResponseWriter, r *http.Request, err error) {
	secure(w.Header())
	p.fail(w, r, http.StatusServiceUnavailable, "Redis cannot be read: "+err.Error())
}

// show writes a view as a whole page.
func (p *Page) show(w http.ResponseWriter, r *http.Request, v view) {
	end := p.watcher.Look()
	defer end()
	s, err := p.keeper.first(r.Context())
	if err != nil {
		p.fail(w, r, http.StatusServiceUnavailable, "Redis cannot be read: "+err.Error())
		return
	}
	f := p.frame(r, v, s)
	status := p.fill(r.Context(), &f, v, s)
	p.write(w, status, "page", f)
}

// fill reads the content of a view into a frame. It returns the HTTP status.
func (p *Page) fill(ctx context.Context, f *frame, v view, s *state) int {
	content, err := v.read(ctx, p, s, f.query)
	f.Content = content
	switch {
	case err == nil:
		return http.StatusOK
	case isMissing(err):
		f.Template, f.Content = "missing", err.Error()
		return http.StatusNotFound
	default:
		p.Log.WarnContext(ctx, "a page cannot be read", "page", v.path, "err", err)
		f.Template, f.Content = "missing", err.Error()
		return http.StatusBadGateway
	}
}

// fail writes a page that only has a message.
func (p *Page) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	f := p.frame(r, view{path: r.URL.Path, title: http.StatusText(status), template: "missing"}, nil)
	f.Content = text
	p.write(w, status, "page", f)
}

// write executes a template. An error of the template is a mistake in this package, and the response
// is then an error as a whole.
func (p *Page) write(w http.ResponseWriter, status int, name string, data any) {
	text, err := p.execute(name, data)
	if err != nil {
		p.Log.Error("a page cannot be shown", "template", name, "err", err)
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client is gone
}
