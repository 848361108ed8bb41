// Package command makes functions of external commands, which `sh -c` runs. A command reads items
// from stdin, or has placeholders such as {} that the quoted item replaces; see Parse.
//
// Every process leads a process group of its own. The group is killed when the context of the call
// ends and when its leader has exited. On Linux every other descendant is killed too, so that no
// background process outlives its command. After the death of the worker, a reaper kills the
// processes that are left.
//
// The error of a failed command has the exit status and the last 4 KiB of stderr. The stderr of a
// successful command is dropped.
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

// New returns the commands that specs define, each in the form that Parse reads. An invalid spec
// and a repeated name are errors. The first call of a function starts its process. Warnings about
// commands go to log. The options are for the functions of pipe:. The caller closes the Set.
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
			return nil, fmt.Errorf("command %q: another command has the name %q; choose one", text, spec.Name)
		}
		seen[spec.Name] = true
		s.specs = append(s.specs, spec)
	}
	s.launcher = newLauncher()
	return s, nil
}

// Close kills every process and waits until it has ended. Running and later calls fail with
// ErrClosed. Close may be called again.
func (s *Set) Close() { s.launcher.close() }

// Functions returns the commands as functions of strings, in the order of the specs. They work
// until Close.
func (s *Set) Functions() []workers.Function {
	functions := make([]workers.Function, len(s.specs))
	for i, spec := range s.specs {
		h := &health{name: spec.Name, broken: s.broken}
		version := workers.Version(spec.version())
		switch spec.Kind {
		case Exec:
			functions[i] = workers.Define(spec.Name, withHealth(h, s.launcher.exec(spec.template, "\n")), version)
		case Exec0:
			functions[i] = workers.Define(spec.Name, withHealth(h, s.launcher.exec(spec.template, "")), version)
		case Pipe:
			functions[i] = workers.DefineBatch(spec.Name, withHealth(h, s.launcher.pipe(spec.Command)), append([]workers.DefineOption{version}, s.pipe...)...)
		case Coproc, CoprocID:
			c := &coproc{launcher: s.launcher, name: spec.Name, command: spec.Command, withIDs: spec.Kind == CoprocID, log: s.log}
			functions[i] = workers.DefineBatch(spec.Name, withHealth(h, c.call), version)
		}
	}
	return functions
}

// withHealth returns f with its errors classified by h.
func withHealth[In, Out any](h *health, f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := f(ctx, in)
		return out, h.classify(err)
	}
}
