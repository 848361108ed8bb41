package main

import (
	"errors"
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/metrics"
)

func exporterVerb() *urfave.Command {
	return &urfave.Command{
		Name: "exporter", Usage: "serve the metrics of the whole namespace to Prometheus",
		UsageText: "dqbridge exporter [FLAGS]",
		Description: "Serves /metrics, /healthz and /readyz until it is stopped. It reads the namespace every ten seconds;\n" +
			"a scrape sends nothing to Redis. Run one exporter for a namespace. docs/metrics.md lists the metrics.",
		Flags: common(cli.MaxSeriesFlag(),
			&urfave.StringSliceFlag{Name: "pool", Usage: poolUsage(), DefaultText: "none"},
			&urfave.StringFlag{Name: "listen", Value: "127.0.0.1:9464", Usage: "serve at `ADDR`, HOST:PORT or a port on this machine"}),
		Action: export,
	}
}

// unreadAfter is the age of the last successful read from which on the exporter is not ready.
const unreadAfter = 30 * time.Second

func export(c *urfave.Context) error {
	if err := errors.Join(checkShared(c, 0, "exporter"), cli.Positive(c, "max-series")); err != nil {
		return err
	}
	pools, err := namedPools(c.StringSlice("pool"))
	if err != nil {
		return err
	}
	log := cli.Logger(c, c.App.ErrWriter)
	return observe(c, func(o executor.Inspector) error {
		watcher := watch.Start(c.Context, o, log)
		defer watcher.Close()
		fleet, err := metrics.FleetOf(watcher, metrics.MaxSeries(c.Int("max-series")))
		if err != nil {
			return err
		}
		ready := func() error {
			view, _ := watcher.Latest()
			switch age := time.Since(view.At); {
			case view.At.IsZero() && view.Err != nil:
				return fmt.Errorf("the namespace cannot be read: %w", view.Err)
			case view.At.IsZero():
				return errors.New("the namespace was not read yet")
			case age > unreadAfter:
				return fmt.Errorf("the namespace was not read for %v: %w", age.Round(time.Second), view.Err)
			}
			return nil
		}
		server, err := cli.Serve(c, "listen", httpd.Routes{Ready: ready, Metrics: newPoolCollector(fleet, watcher, pools)}, log)
		if err != nil {
			return err
		}
		<-c.Done()
		return server.Close()
	})
}
