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

// brokenAfter is how long a command that has never run may be unavailable.
const brokenAfter = 3 * time.Second

// A health is what is known of a command: can it run here?
type health struct {
	name   string
	broken chan<- error

	mu    sync.Mutex
	runs  bool      // it did
	since time.Time // of the first failure
}

// judge takes the error of a run. One that says nothing about the item is returned as unavailable.
func (h *health) judge(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !notTheItem(err) {
		h.runs = h.runs || err == nil || isExit(err)
		return err
	}
	if h.since.IsZero() {
		h.since = time.Now()
	}
	if !h.runs && time.Since(h.since) >= brokenAfter {
		select {
		case h.broken <- fmt.Errorf("%s cannot run here, tried for %v: %w", h.name, brokenAfter, err):
		default: // another command was told
		}
	}
	return workers.Unavailable(err)
}

func isExit(err error) bool {
	_, ok := errors.AsType[*exitError](err)
	return ok
}

// A startError is why a process could not be started.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// The exit statuses of a shell for a program that cannot be run and for one that is not there.
const (
	cannotRun = 126
	notFound  = 127
)

// notTheItem reports whether an error would be that of any item: no process could be started, or the program is missing.
func notTheItem(err error) bool {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.state.ExitCode() == cannotRun || exit.state.ExitCode() == notFound
	}
	_, ok := errors.AsType[*startError](err)
	return ok && !errors.Is(err, syscall.E2BIG)
}

// firstWord matches a word at the begin of a command line that is the name of a program or of what a shell has.
var firstWord = regexp.MustCompile(`^\s*([A-Za-z0-9_./+-]+)(?:[\s|;&<>]|$)`)

// Check returns an error if sh or the program of a command is missing on this machine, as far as it can be told without
// running the command.
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

// Broken returns a channel that gets an error if a command has never run and could not for 3 seconds.
func (s *Set) Broken() <-chan error { return s.broken }
