package main

import (
	"errors"
	"log/slog"
	"net/url"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/top"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
)

func topVerb() *urfave.Command {
	return &urfave.Command{
		Name: "top", Usage: "show flows, stages, workers, queues and errors on a terminal, as they change",
		UsageText: "dqbridge top [FLAGS]",
		Description: "Keys: 1 to 5 choose flows, stages, workers, queues, errors; / filters, s sorts, Enter shows the details of a row, ? the other keys.\n" +
			"p pauses or resumes a stage and c cancels a running item, after a question, as the verbs pause, resume and cancel do.\n" +
			"Without a terminal, it prints all of them once.",
		Flags: common(),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, "top"); err != nil {
				return err
			}
			if cli.IsTerminal(c.App.Writer) && cli.IsTerminal(os.Stdin) && os.Getenv("TERM") != "dumb" {
				return showTop(c)
			}
			return observe(c, func(o executor.Inspector) error {
				view, err := watch.NewLooker(o).Once(c.Context)
				if err != nil {
					return err
				}
				return top.Print(c.App.Writer, view, place(c.String("redis")))
			})
		},
	}
}

// showTop takes the whole terminal. There is no place for log lines: the screen tells of an outage.
func showTop(c *urfave.Context) error {
	log := slog.New(slog.DiscardHandler)
	o, err := operate.New(c.Context, c.String("redis"), executor.Logger(log))
	if err != nil {
		return err
	}
	w := watch.Start(c.Context, o.Inspector(), log)
	err = top.Run(c.Context, w, top.Settings{In: os.Stdin, Out: c.App.Writer, Place: place(c.String("redis")), Operator: o})
	w.Close()
	return errors.Join(err, o.Close())
}

// place returns host and namespace of an address, without its secrets.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	text := u.Host + u.Path
	if ns := u.Query().Get("ns"); ns != "" {
		text += " " + ns
	}
	return text
}
