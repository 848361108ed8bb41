// Package cli is what the commands share: flags and their order, exit statuses,
// signals, lines in and out, lists.
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
)

// The exit statuses besides 0. A signal that stops a command makes it 128 and
// the signal's number.
const (
	StatusFailed   = 1 // items failed, or something else did
	StatusUsage    = 2 // the command line is wrong
	StatusUnusable = 3 // Redis cannot be used: it does not answer, or refuses
	StatusBroken   = 4 // the stream has ended before its end
)

// AsParallel is the key of App.Metadata by which a verb has the exit statuses of GNU parallel.
const AsParallel = "parallel"

// A Command is a program as a process runs it.
type Command struct {
	App *urfave.App
	// Grace is how long it may take to stop after a signal, 0 for as long as
	// it takes. A second signal ends it at once.
	Grace time.Duration
	// Drains tells that a signal is how the command is meant to end.
	Drains bool
	// Commands is the verb that takes a command behind "--".
	Commands string
	// Exit ends the process in the middle of its work: os.Exit.
	Exit func(status int)
}

// Run runs the command and returns its exit status. Errors go to the App's
// ErrWriter.
func (c Command) Run(ctx context.Context, args []string) int {
	a := c.App
	a.HideVersion, a.HideHelpCommand = true, true
	a.DisableSliceFlagSeparator = true // a comma in a command is its own
	a.ExitErrHandler = func(*urfave.Context, error) {}
	a.OnUsageError = usageError
	for _, verb := range a.Commands {
		verb.HideHelpCommand = true
		verb.OnUsageError = usageError
	}
	broker.Quiet()
	ctx, release := c.signals(ctx)
	defer release()
	ordered, err := arrange(a, c.Commands, args)
	if err == nil {
		err = a.RunContext(ctx, ordered)
	}
	if c.Drains && err == nil {
		return 0
	}
	status := report(ctx, a.ErrWriter, a.Name, err)
	if _, parallel := a.Metadata[AsParallel]; parallel || c.Commands != "" && slices.Contains(args, "--") {
		return parallelStatus(status, err)
	}
	return status
}

// parallelStatus returns the exit status that GNU parallel has in place of ours.
func parallelStatus(status int, err error) int {
	var failed ItemsFailed
	var halted Halted
	switch {
	case errors.As(err, &halted) && status <= StatusFailed:
		return halted.Status
	case errors.As(err, &failed) && status == StatusFailed:
		return jobs.Status(failed.Failed)
	case status >= StatusFailed && status <= StatusBroken:
		return jobs.StatusOther
	}
	return status
}

// report says what went wrong, and returns the exit status that tells it.
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
	}
	if !output.quiet() {
		_, _ = fmt.Fprintf(w, "%s: %v\n", name, err) // there is nobody else to tell
	}
	return status
}

// Usage is what is wrong with a command line.
type Usage string

// Error returns the text.
func (u Usage) Error() string { return string(u) }

// Usagef makes a Usage.
func Usagef(format string, args ...any) error { return Usage(fmt.Sprintf(format, args...)) }

// AsUsage returns a Usage with the text of err.
func AsUsage(err error) error { return Usage(err.Error()) }

// usageError keeps urfave from printing all of the help.
func usageError(c *urfave.Context, err error, _ bool) error {
	return Usagef("%v (see %s --help)", err, c.Command.HelpName)
}
