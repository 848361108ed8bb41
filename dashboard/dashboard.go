// Package dashboard shows a namespace as web pages: flows with their bottlenecks, stages, queues,
// workers, failures, dead letters and the Redis server.
//
// A program mounts it in its own server:
//
//	inspector, err := executor.NewInspector(ctx, "redis://127.0.0.1:6379")
//	...
//	pages, err := dashboard.New(ctx, inspector, dashboard.Prefix("/dqbridge"), dashboard.Hosts("ops.example.com"))
//	...
//	defer pages.Close()
//	mux.Handle("/dqbridge/", pages)
package dashboard

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
)

// An Option changes a setting of New.
type Option func(*page.Options)

// Prefix serves all pages below a path, such as "/dqbridge". The default is the root.
func Prefix(path string) Option { return func(o *page.Options) { o.Prefix = path } }

// Name sets the title of the pages, such as "orders in production". The default is "dqbridge".
func Name(name string) Option { return func(o *page.Options) { o.Name = name } }

// Hosts allows names of hosts in addition to those of the loopback: localhost, 127.0.0.1 and [::1].
// The pages refuse requests for another name, which may come from a foreign page whose name was
// changed to the address of this machine.
func Hosts(names ...string) Option {
	return func(o *page.Options) { o.Hosts = append(o.Hosts, names...) }
}

// Token makes users enter a token before they see a page. A program sends it as Authorization:
// Bearer. Use it if the server can be reached from other machines.
func Token(token string) Option { return func(o *page.Options) { o.Token = token } }

// HidePayloads makes the pages show the sizes of items in place of the items.
func HidePayloads() Option { return func(o *page.Options) { o.HidePayloads = true } }

// Actions lets users act by an Operator, which the caller closes after Dashboard.Close. by is the name
// under which the actions are noted; "" stands for the user of this process and its host. Without this
// option the pages only read.
func Actions(operator *operate.Operator, by string) Option {
	return func(o *page.Options) { o.Operator, o.As = operator, by }
}

// Logger sets the logger of failed reads. The default is none.
func Logger(log *slog.Logger) Option { return func(o *page.Options) { o.Log = log } }

// A Dashboard is a handler of web pages about one namespace. It reads the namespace every ten
// seconds, and every two while a browser shows a page.
type Dashboard struct {
	page    *page.Page
	watcher *watch.Watcher
}

// New begins to read a namespace by an Inspector or an Executor, which the caller closes after
// Dashboard.Close. The end of ctx ends the reads as well. New does not wait for the first read. It returns an error for a Prefix without a
// slash at its begin or with one at its end.
func New(ctx context.Context, inspector executor.Inspector, opts ...Option) (*Dashboard, error) {
	options := page.Options{Log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&options)
	}
	watcher := watch.Start(ctx, inspector, options.Log)
	p, err := page.New(ctx, inspector, watcher, options)
	if err != nil {
		watcher.Close()
		return nil, err
	}
	return &Dashboard{p, watcher}, nil
}

// ServeHTTP serves the pages.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.page.ServeHTTP(w, r) }

// Close ends the streams of events to browsers, and waits for the current read of the namespace.
func (d *Dashboard) Close() error {
	d.page.Close()
	d.watcher.Close()
	return nil
}
