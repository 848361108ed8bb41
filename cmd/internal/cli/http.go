package cli

import (
	"fmt"
	"log/slog"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
)

// MaxSeriesFlag returns --max-series.
func MaxSeriesFlag() urfave.Flag {
	return &urfave.IntFlag{
		Name: "max-series", Value: 2000,
		Usage: "export the `N` most active stages, and likewise queues, one by one, and the sum of the others as _other",
	}
}

// Serve serves routes at the address of a flag, and writes that address to stderr. The caller closes
// the server.
func Serve(c *urfave.Context, flag string, routes httpd.Routes, log *slog.Logger) (*httpd.Server, error) {
	handler, err := routes.Handler()
	if err != nil {
		return nil, err
	}
	server, err := httpd.Start(c.Context, c.String(flag), handler, log)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	Tell(c, "http://"+server.Addr())
	return server, nil
}
