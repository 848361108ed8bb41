package command

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// brokenAfter is the time after which a command that was never able to run counts as broken.
const brokenAfter = 3 * time.Second

// A health records whether a command is able to run on this machine.
type health struct {
	name   string
	broken chan<- error

	mu     sync.Mutex
	hasRun bool      // a call has run
	since  time.Time // the first failure
}

// classify returns the error of a run. An error that does not depend on the item becomes
// workers.Unavailable.
func (h *health) classify(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !isUnavailable(err) {
		h.hasRun = h.hasRun || err == nil || isExit(err)
		return err
	}
	if h.since.IsZero() {
		h.since = time.Now()
	}
	if !h.hasRun && time.Since(h.since) >= brokenAfter {
		select {
		case h.broken <- fmt.Errorf("%s cannot run here, tried for %v: %w", h.name, brokenAfter, err):
		default: // another command is reported
		}
	}
	return workers.Unavailable(err)
}

func isExit(err error) bool {
	_, ok := errors.AsType[*exitError](err)
	return ok
}

// A startError is the error of a process that could not be started.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// The exit statuses of a shell for a program that cannot be run and for a missing program.
const (
	cannotRun = 126
	notFound  = 127
)

// isUnavailable reports whether err would be the error of any item: no process could be started, or
// the program is missing.
func isUnavailable(err error) bool {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.state.ExitCode() == cannotRun || exit.state.ExitCode() == notFound
	}
	_, ok := errors.AsType[*startError](err)
	return ok && !errors.Is(err, syscall.E2BIG)
}

// firstWord matches a word at the beginning of a command line that names a program, or a reserved
// word or builtin of the shell.
var firstWord = regexp.MustCompile(`^\s*([A-Za-z0-9_./+-]+)(?:[\s|;&<>]|$)`)

// Check returns an error if sh or the program of a command is missing on this machine. It does not
// run the commands, and so does not find every missing program.
func (s *Set) Check() error {
	for _, spec := range s.specs {
		if _, err := exec.LookPath("sh"); err != nil {
			return fmt.Errorf("%s needs sh, which is not in the PATH: %w", spec.Name, err)
		}
		found := firstWord.FindStringSubmatch(spec.Command)
		if found == nil || slices.Contains(shellWords, found[1]) {
			continue
		}
		if _, err := exec.LookPath(found[1]); err != nil && !errors.Is(err, exec.ErrDot) {
			return fmt.Errorf("the program of %s is missing: install it, or name it with its path: %w", spec.Name, err)
		}
	}
	return nil
}

// Broken returns a channel that gets an error if no call of a command could run for 3 seconds and
// none has run before.
func (s *Set) Broken() <-chan error { return s.broken }
