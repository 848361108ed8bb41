package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
	"github.com/dqbridge/dqbridge/cmd/internal/pages"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
)

const defaultListen = "127.0.0.1:8787"

func dashboardVerb() *urfave.Command {
	return &urfave.Command{
		Name: "dashboard", Usage: "serve web pages that show the namespace, until Ctrl-C",
		UsageText: "dqbridge dashboard [FLAGS]",
		Description: "The pages only read. With --actions they also pause, cancel and delete.\n" +
			"An address other than one of the loopback needs --token-file.",
		Flags: common(append(pages.Flags(),
			&urfave.StringFlag{Name: "listen", Value: defaultListen, Usage: "serve at `ADDRESS`"},
			&urfave.BoolFlag{Name: "actions", DisableDefaultText: true, Usage: "let users pause stages, cancel items, drain workers, and delete queues and dead letters"},
			&urfave.StringFlag{Name: "title", Usage: "show `TEXT` as the name of the namespace", DefaultText: "the address of Redis"})...),
		Action: serveDashboard,
	}
}

func serveDashboard(c *urfave.Context) error {
	if err := checkShared(c, 0, "dashboard"); err != nil {
		return err
	}
	options, err := pageOptions(c)
	if err != nil {
		return err
	}
	serve := func(o executor.Inspector) error {
		listener, err := net.Listen("tcp", c.String("listen"))
		if err != nil {
			return cli.Usagef("--listen: %v", err)
		}
		_, _ = fmt.Fprintf(c.App.ErrWriter, "dqbridge: dashboard at http://%s/\n", listener.Addr())
		return servePages(c.Context, listener, o, options)
	}
	if !c.Bool("actions") {
		return observe(c, serve)
	}
	options.Operator, err = operate.New(c.Context, c.String("redis"), executor.Logger(options.Log))
	if err != nil {
		return err
	}
	return errors.Join(serve(options.Operator.Inspector()), options.Operator.Close())
}

// pageOptions returns the settings of the flags.
func pageOptions(c *urfave.Context) (page.Options, error) {
	options, err := pages.Options(c)
	if title := c.String("title"); title != "" {
		options.Name = title
	}
	if err == nil && options.Token == "" && !httpd.IsLoopback(c.String("listen")) {
		err = cli.Usagef("--listen %s: other machines can reach this address: give --token-file", c.String("listen"))
	}
	return options, err
}

// servePages serves the pages at a listener until ctx ends.
func servePages(ctx context.Context, listener net.Listener, inspector executor.Inspector, options page.Options) error {
	watcher := watch.Start(ctx, inspector, options.Log)
	defer watcher.Close()
	handler, err := page.New(ctx, inspector, watcher, options)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended: // the listener is broken
		handler.Close()
		return err
	case <-ctx.Done():
	}
	handler.Close() // which ends the streams of events
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err = server.Shutdown(limited); err != nil {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, context.Cause(ctx))
}

// withDashboard serves the pages while do runs, if --dashboard is given.
func withDashboard(c *urfave.Context, ex *executor.Executor, console *cli.Console, do func() error) error {
	if !c.Bool("dashboard") {
		return do()
	}
	if !httpd.IsLoopback(c.String("listen")) {
		return cli.Usagef("--listen %s: run serves pages to this machine only: give an address such as %s", c.String("listen"), defaultListen)
	}
	listener, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return cli.Usagef("--listen: %v", err)
	}
	_, _ = fmt.Fprintf(console, "dqbridge: dashboard at http://%s/\n", listener.Addr())
	ctx, cancel := context.WithCancel(c.Context)
	served := make(chan struct{})
	go func() {
		defer close(served)
		options := page.Options{Name: "dqbridge run", As: operate.Act{}.Name(), Log: cli.Logger(c, console)}
		if err := servePages(ctx, listener, ex, options); err != nil && ctx.Err() == nil {
			options.Log.Warn("the dashboard has ended", "err", err)
		}
	}()
	err = do()
	cancel()
	<-served
	return err
}
