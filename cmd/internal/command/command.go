// Package command makes functions of external commands, which `sh -c` runs. They get
// items by stdin, or quoted in the place of placeholders such as {}; see Parse.
//
// Every process leads a process group of its own. The group is killed when
// the context of the call ends and when its leader has exited, and on Linux with it
// every other descendant, so nothing that a command left in the background outlives it.
// When the worker dies, however it does, a guardian kills what it left.
//
// The error of a command that failed has the exit status and the last 4 KiB of
// what it wrote to stderr; the stderr of one that did not fail is dropped.
package command

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/dqbridge/dqbridge/workers"
)

// A Set is the commands of a worker and the processes that run for them.
type Set struct {
	launcher *launcher
	broken   chan error
	shell    *health // of Shell
	log      *slog.Logger
	specs    []Spec
	pipe     []workers.DefineOption
}

// New returns the commands that specs define, each as Parse takes it. A spec
// that cannot be parsed and a name that appears twice are errors. No process
// runs before it is needed. What commands do wrong without failing goes to log. The options are for the functions
// of pipe:. The Set has to be closed.
func New(specs []string, log *slog.Logger, pipe ...workers.DefineOption) (*Set, error) {
	s := &Set{broken: make(chan error, 1), log: log, pipe: pipe}
	s.shell = &health{name: "the command", broken: s.broken}
	seen := make(map[string]bool)
	for _, text := range specs {
		spec, err := Parse(text)
		if err != nil {
			return nil, err
		}
		if seen[spec.Name] {
			return nil, fmt.Errorf("command %q: there are two of the name %q", text, spec.Name)
		}
		seen[spec.Name] = true
		s.specs = append(s.specs, spec)
	}
	s.launcher = newLauncher()
	return s, nil
}

// Close kills every process and waits until it is gone. Calls under way and
// later ones fail with ErrClosed. Closing again does nothing.
func (s *Set) Close() { s.launcher.close() }

// Functions returns the commands as functions of strings, in the order in
// which they were given. They work until Close.
func (s *Set) Functions() []workers.Function {
	functions := make([]workers.Function, len(s.specs))
	for i, spec := range s.specs {
		h := &health{name: spec.Name, broken: s.broken}
		version := workers.Version(spec.version())
		switch spec.Kind {
		case Exec:
			functions[i] = workers.Define(spec.Name, watched(h, s.launcher.exec(spec.template, "\n")), version)
		case Exec0:
			functions[i] = workers.Define(spec.Name, watched(h, s.launcher.exec(spec.template, "")), version)
		case Pipe:
			functions[i] = workers.DefineBatch(spec.Name, watched(h, s.launcher.pipe(spec.Command)), append([]workers.DefineOption{version}, s.pipe...)...)
		case Coproc, CoprocID:
			c := &coproc{launcher: s.launcher, name: spec.Name, command: spec.Command, framed: spec.Kind == CoprocID, log: s.log}
			functions[i] = workers.DefineBatch(spec.Name, watched(h, c.call), version)
		}
	}
	return functions
}

// watched is a function whose errors a health judges.
func watched[In, Out any](h *health, f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := f(ctx, in)
		return out, h.judge(err)
	}
}
