package main

import (
	"errors"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
)

func healthVerb() *urfave.Command {
	return &urfave.Command{
		Name: "health", Usage: "ask a worker or an exporter for its health, for the check of a container",
		UsageText:   "dqbridge health URL",
		Description: "Exit status: 0 if the answer is 200 within 5 seconds, otherwise 1, with the answer on stderr.",
		Action:      askHealth,
	}
}

func askHealth(c *urfave.Context) error {
	if c.NArg() != 1 {
		return cli.Usagef("health takes 1 argument, got %d: dqbridge health http://127.0.0.1:9464/readyz", c.NArg())
	}
	err := httpd.Check(c.Context, c.Args().First())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, httpd.ErrInvalidURL):
		return cli.AsUsage(err)
	}
	return errors.New(cli.Printable(err.Error()))
}
