// Command dqbridge sends lines through functions that a fleet runs, and looks
// after named queues.
package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
)

// grace is how long cleaning up may take after Ctrl-C.
const grace = 3 * time.Second

// memory is about how much the command takes unless what it holds is more: lines that are on their way are
// garbage as soon as they are stored, and Go would let as much of that collect as there is of all else.
const memory = 160 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	os.Exit(Main())
}

// Main is the whole command. It returns the exit status.
func Main() int {
	return cli.Command{App: app(), Grace: grace, Commands: "run", Exit: os.Exit}.Run(context.Background(), os.Args)
}

func app() *urfave.App {
	return &urfave.App{
		Name:      "dqbridge",
		Usage:     "send lines through functions that a fleet runs, in order",
		UsageText: "dqbridge VERB [FLAGS] [ARGUMENTS]",
		Description: "Exit status: 0; 1 if items or something else failed; 2 for a mistake on the command line;\n" +
			"3 if Redis cannot be used; 4 if the stream has ended before its end; 130 after Ctrl-C.",
		Commands:  []*urfave.Command{runVerb(), functionsVerb(), scatterVerb(), mapVerb(), gatherVerb(), queuesVerb(), checkVerb(), workersVerb(), stagesVerb(), deadVerb(), deleteVerb()},
		Flags:     []urfave.Flag{cli.VersionFlag()},
		Action:    cli.PrintVersion,
		Writer:    os.Stdout,
		ErrWriter: os.Stderr,
	}
}

// common are the flags of every verb.
func common(more ...urfave.Flag) []urfave.Flag {
	return append(more, cli.RedisFlag("embedded"), cli.VerboseFlag())
}

// with connects, does something and cleans up.
func with(c *urfave.Context, console *cli.Console, do func(*executor.Executor) error, opts ...executor.Option) error {
	opts = append(opts, executor.Logger(cli.Logger(c, console)))
	ex, err := executor.New(c.Context, c.String("redis"), opts...)
	if err != nil {
		return err
	}
	return errors.Join(do(ex), ex.Close())
}

// shared is with, for what makes no sense on an embedded broker.
func shared(c *urfave.Context, args int, usage string, do func(*executor.Executor) error) error {
	if err := fleet(c, args, usage); err != nil {
		return err
	}
	return with(c, cli.NewConsole(c.App.ErrWriter), do)
}

// fleet checks the arguments of a verb that makes no sense on an embedded
// broker.
func fleet(c *urfave.Context, args int, usage string) error {
	if c.NArg() != args {
		return cli.Usagef("%s takes %d arguments, got %d: dqbridge %s", c.Command.Name, args, c.NArg(), usage)
	}
	if c.String("redis") == "" {
		return cli.Usagef("%s needs a Redis that others use as well, an embedded one ends with this command: "+
			"give --redis redis://HOST:6379 or set DQBRIDGE_REDIS", c.Command.Name)
	}
	return nil
}
