// Command dqbridge sends lines through functions that workers run, and manages named queues.
package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/telemetry"
	"github.com/dqbridge/dqbridge/executor"
)

// grace bounds the time for the cleanup after Ctrl-C.
const grace = 3 * time.Second

// memoryLimit is the soft memory limit of the command if GOMEMLIMIT is not set. Lines become
// garbage as soon as they are stored. Without a limit, Go lets the garbage grow to the size of the
// live memory.
const memoryLimit = 160 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(Main())
}

// Main is the whole command. It returns the exit status.
func Main() int {
	return cli.Command{App: app(), Grace: grace, CommandVerb: "run", Exit: os.Exit}.Run(context.Background(), os.Args)
}

func app() *urfave.App {
	return &urfave.App{
		Name:      "dqbridge",
		Usage:     "send lines through functions that workers run, in order",
		UsageText: "dqbridge VERB [FLAGS] [ARGUMENTS]",
		Description: "Exit status: 0; 1 for failed items or another error; 2 for a mistake on the command line;\n" +
			"3 if Redis cannot be used; 4 if the stream is incomplete; 5 if what the verb acts on does not exist, such as a queue;\n" +
			"130 after Ctrl-C.",
		Commands: []*urfave.Command{
			cli.Complete(runVerb(), cli.FunctionNames), functionsVerb(), cli.Complete(scatterVerb(), cli.QueueNames),
			cli.Complete(mapVerb(), cli.FunctionNames, cli.QueueNames), cli.Complete(unmapVerb(), cli.FunctionNames, cli.QueueNames), cli.Complete(gatherVerb(), cli.QueueNames),
			flowsVerb(), queuesVerb(), sourcesVerb(), gathersVerb(), stagesVerb(), workersVerb(), errorsVerb(), topVerb(), whereVerb(), cli.Complete(peekVerb(), cli.QueueNames), deadVerb(),
			pauseVerb(), resumeVerb(), cancelVerb(), drainVerb(), cli.Complete(purgeVerb(), cli.QueueNames),
			cli.Complete(deleteVerb(), cli.QueueNames), historyVerb(), doctorVerb(), dashboardVerb(), scaleVerb(), exporterVerb(), healthVerb(), checkVerb(), completionVerb(), manVerb(),
		},
		Flags:     []urfave.Flag{cli.VersionFlag()},
		Action:    cli.PrintVersion,
		Writer:    os.Stdout,
		ErrWriter: os.Stderr,
	}
}

// common returns more and the flags of every verb.
func common(more ...urfave.Flag) []urfave.Flag {
	return append(append(more, cli.RedisFlag("embedded"), cli.ConfigFlag()), cli.LogFlags()...)
}

// with connects, calls do and closes the Executor.
func with(c *urfave.Context, console *cli.Console, do func(*executor.Executor) error, opts ...executor.Option) error {
	log := cli.Logger(c, console)
	traces, err := telemetry.Open(c.Context, c.App.Name, console, log)
	if err != nil {
		return cli.AsUsage(err)
	}
	defer traces.Close()
	ctx, end := traces.Begin(c.Context, c.Command.HelpName)
	c.Context = ctx
	ex, err := executor.New(ctx, c.String("redis"), append(append(opts, executor.Logger(log)), traces.Executor()...)...)
	if err == nil {
		err = errors.Join(do(ex), ex.Close())
	}
	end(err)
	return err
}

// shared is with for a verb that needs a Redis.
func shared(c *urfave.Context, args int, usage string, do func(*executor.Executor) error) error {
	if err := checkShared(c, args, usage); err != nil {
		return err
	}
	return with(c, cli.NewConsole(c.App.ErrWriter), do)
}

// observe connects for a verb that only reads, calls do and closes the Inspector.
func observe(c *urfave.Context, do func(executor.Inspector) error) error {
	o, err := executor.NewInspector(c.Context, c.String("redis"), executor.Logger(cli.Logger(c, c.App.ErrWriter)))
	if err != nil {
		return err
	}
	return errors.Join(do(o), o.Close())
}

// checkShared checks the number of arguments and the address of a verb that needs a Redis.
func checkShared(c *urfave.Context, args int, usage string) error {
	if c.NArg() != args {
		return cli.Usagef("%s takes %d arguments, got %d: dqbridge %s", c.Command.Name, args, c.NArg(), usage)
	}
	if c.String("redis") == "" {
		return cli.Usagef("%s needs a Redis, since an embedded broker ends with this command: "+
			"give --redis redis://HOST:6379 or set DQBRIDGE_REDIS", c.Command.Name)
	}
	return nil
}
