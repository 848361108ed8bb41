// Package cli has the common parts of the commands: flags and their order, exit statuses, signals,
// input and output of lines, lists.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/operate"
)

// The exit statuses other than 0. A command that a signal stops has 128 plus the number of the
// signal.
const (
	StatusFailed   = 1 // items failed, or another error occurred
	StatusUsage    = 2 // the command line is wrong
	StatusUnusable = 3 // Redis does not answer or refuses the client
	StatusBroken   = 4 // the stream is incomplete
	StatusNotFound = 5 // what the verb acts on does not exist: a queue, a source, a stage, a worker, a running item or a dead letter
)

// AsParallel is a key of App.Metadata. A verb that sets it has the exit statuses of GNU parallel.
const AsParallel = "parallel"

// A Command is the main program of a process.
type Command struct {
	App *urfave.App
	// Grace bounds the time to stop after a signal; 0: no bound. A second signal ends the process
	// at once.
	Grace time.Duration
	// Drains says that a stop by a signal is a success, with exit status 0.
	Drains bool
	// CommandVerb is the verb that takes a command after "--".
	CommandVerb string
	// Hangup is called at SIGHUP and reports whether that was its purpose. Otherwise, and without
	// Hangup, SIGHUP stops the command.
	Hangup func() bool
	// Exit ends the process at once: os.Exit.
	Exit func(status int)
}

// Run runs the command and returns its exit status. It writes the error to the ErrWriter of App.
func (c Command) Run(ctx context.Context, args []string) int {
	a := c.App
	prepare(a)
	broker.Quiet()
	ctx, release := c.signals(ctx)
	defer release()
	if args[len(args)-1] == completing {
		return runCompletion(ctx, a, args)
	}
	ordered, err := arrange(a, c.CommandVerb, args)
	if err == nil {
		err = a.RunContext(ctx, ordered)
	}
	if c.Drains && err == nil {
		return 0
	}
	status := report(ctx, a.ErrWriter, a.Name, err)
	if _, parallel := a.Metadata[AsParallel]; parallel || c.CommandVerb != "" && slices.Contains(args, "--") {
		return parallelStatus(status, err)
	}
	return status
}

// Parse runs the action of an app for a command line, without signals and exit statuses.
func Parse(ctx context.Context, a *urfave.App, args []string) error {
	prepare(a)
	ordered, err := arrange(a, "", args)
	if err != nil {
		return err
	}
	return a.RunContext(ctx, ordered)
}

// prepare sets the common behavior of all commands.
func prepare(a *urfave.App) {
	a.HideVersion, a.HideHelpCommand = true, true
	a.DisableSliceFlagSeparator = true // a comma does not separate commands
	a.ExitErrHandler = func(*urfave.Context, error) {}
	a.OnUsageError = usageError
	for _, verb := range a.Commands {
		verb.HideHelpCommand = true
		verb.OnUsageError = usageError
		verb.Before = configure
	}
	if len(a.Commands) == 0 {
		a.Before = configure
	}
}

// parallelStatus returns the exit status of GNU parallel for an error with this status.
func parallelStatus(status int, err error) int {
	var failed ItemsFailed
	var halted Halted
	switch {
	case errors.As(err, &halted) && status <= StatusFailed:
		return halted.Status
	case errors.As(err, &failed) && status == StatusFailed:
		return jobs.Status(failed.Failed)
	case status >= StatusFailed && status <= StatusNotFound:
		return jobs.StatusOther
	}
	return status
}

// report writes the error, except for those that only have an exit status, and returns the status.
func report(ctx context.Context, w io.Writer, name string, err error) int {
	var stopped Stopped
	var usage Usage
	var output OutputError
	var halted Halted
	status := StatusFailed
	switch {
	case errors.As(err, &stopped), errors.As(context.Cause(ctx), &stopped):
		return stopped.Status()
	case err == nil:
		return 0
	case errors.As(err, &halted) && halted.Cause == nil:
		status = 0
	case errors.As(err, &output) && output.Closed():
		status = 128 + int(syscall.SIGPIPE)
	case errors.As(err, &usage), errors.Is(err, executor.ErrInvalidURL), errors.Is(err, executor.ErrTypeMismatch), errors.Is(err, executor.ErrInvalidName):
		status = StatusUsage
	case errors.Is(err, executor.ErrUnreachable), errors.Is(err, executor.ErrDenied):
		status = StatusUnusable
	case errors.As(err, new(StreamBroken)):
		status = StatusBroken
	case errors.Is(err, executor.ErrQueueNotFound), errors.Is(err, executor.ErrDeadLetterNotFound), errors.Is(err, ErrSourceNotFound),
		errors.Is(err, operate.ErrStageNotFound), errors.Is(err, operate.ErrWorkerNotFound), errors.Is(err, operate.ErrNotRunning):
		status = StatusNotFound
	}
	if !output.quiet() {
		_, _ = fmt.Fprintf(w, "%s: %v\n", name, err) // without stderr, the status is the only report
	}
	return status
}

// ErrSourceNotFound says that there is no source of a name.
var ErrSourceNotFound = errors.New("there is no such source now (dqbridge sources)")

// Usage is the error of a wrong command line.
type Usage string

// Error returns the text.
func (u Usage) Error() string { return string(u) }

// Usagef returns a Usage with a formatted text.
func Usagef(format string, args ...any) error { return Usage(fmt.Sprintf(format, args...)) }

// AsUsage returns a Usage with the text of err.
func AsUsage(err error) error { return Usage(err.Error()) }

// usageError replaces the default of urfave, which prints the whole help.
func usageError(c *urfave.Context, err error, _ bool) error {
	return Usagef("%v (see %s --help)", err, c.Command.HelpName)
}
