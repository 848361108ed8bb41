package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
	"github.com/dqbridge/dqbridge/cmd/internal/pages"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/metrics"
	"github.com/dqbridge/dqbridge/workers"
)

// serveHTTP calls work with an option for workers, whose health and metrics it serves over HTTP
// meanwhile, and the pages of the namespace beside them.
func serveHTTP(c *urfave.Context, log *slog.Logger, work func(...workers.Option) error) error {
	own, err := metrics.NewWorker(metrics.MaxSeries(c.Int("max-series")))
	if err != nil {
		return err
	}
	root, closeRoot, err := rootOf(c, log)
	if err != nil {
		return err
	}
	defer closeRoot()
	server, err := cli.Serve(c, "http", httpd.Routes{Ready: own.Ready, Metrics: own, Root: root, Profile: c.Bool("pprof")}, log)
	if err != nil {
		return err
	}
	return errors.Join(work(own.Option()), server.Close())
}

// rootOf returns the pages of the namespace. If other machines can reach the address, they need a
// token; without one, the handler refuses all requests.
func rootOf(c *urfave.Context, log *slog.Logger) (handler http.Handler, end func(), err error) {
	options, err := pages.Options(c)
	if err != nil {
		return nil, nil, err
	}
	if options.Token == "" && !httpd.IsLocal(c.String("http")) {
		return http.HandlerFunc(refuse), func() {}, nil
	}
	served, err := pages.New(options, func(ctx context.Context) (executor.Inspector, error) {
		return executor.NewInspector(ctx, c.String("redis"), executor.Logger(log))
	})
	if err != nil {
		return nil, nil, err
	}
	return served, served.Close, nil
}

// refuse answers requests for pages that have no guard.
func refuse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, "Other machines can reach this address: give dqworker --token-file FILE to see the pages here.\n") // the client may have gone
}
