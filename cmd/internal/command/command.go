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
	"slices"

	"github.com/dqbridge/dqbridge/workers"
)

// A Set is the commands of a worker and the processes that run for them.
type Set struct {
	launcher *launcher
	broken   chan error
	shell    *health // of Shell
	log      *slog.Logger
	specs    []Spec
	defined  []defined // by specs, in their order
	pipe     []workers.DefineOption
}

// A defined command is a function.
type defined struct {
	function workers.Function
	coproc   *coproc // nil: of another kind
}

// New returns the commands that specs define, each in the form that Parse reads. An invalid spec
// and a repeated name are errors. The first call of a function starts its process. Warnings about
// commands go to log. The options are for the functions of pipe:. The caller closes the Set.
func New(specs []string, log *slog.Logger, pipe ...workers.DefineOption) (*Set, error) {
	s := &Set{broken: make(chan error, 1), log: log, pipe: pipe}
	s.shell = &health{name: "the command", broken: s.broken}
	if err := s.parse(specs); err != nil {
		return nil, err
	}
	s.launcher = newLauncher()
	for _, spec := range s.specs {
		s.defined = append(s.defined, s.define(spec))
	}
	return s, nil
}

// With returns the commands of other specs. It shares the processes of s, whose Close is that of both,
// and the functions of equal specs. The errors are those of New.
func (s *Set) With(specs []string) (*Set, error) {
	next := &Set{launcher: s.launcher, broken: s.broken, shell: s.shell, log: s.log, pipe: s.pipe}
	if err := next.parse(specs); err != nil {
		return nil, err
	}
	for _, spec := range next.specs {
		if i := s.find(spec); i >= 0 {
			next.defined = append(next.defined, s.defined[i])
		} else {
			next.defined = append(next.defined, next.define(spec))
		}
	}
	return next, nil
}

// Retire ends the idle processes of the functions that next does not share, and their other processes
// at the end of the calls that use them.
func (s *Set) Retire(next *Set) {
	for i, spec := range s.specs {
		if c := s.defined[i].coproc; c != nil && next.find(spec) < 0 {
			c.retire()
		}
	}
}

// find returns the index of a spec, -1 if there is none that is equal.
func (s *Set) find(spec Spec) int {
	return slices.IndexFunc(s.specs, func(own Spec) bool {
		return own.Name == spec.Name && own.Kind == spec.Kind && own.Command == spec.Command
	})
}

// parse reads specs.
func (s *Set) parse(specs []string) error {
	seen := make(map[string]bool)
	for _, text := range specs {
		spec, err := Parse(text)
		if err != nil {
			return err
		}
		if seen[spec.Name] {
			return fmt.Errorf("command %q: another command has the name %q; choose one", text, spec.Name)
		}
		seen[spec.Name] = true
		s.specs = append(s.specs, spec)
	}
	return nil
}

// Close kills every process and waits until it has ended. Running and later calls fail with
// ErrClosed. Close may be called again.
func (s *Set) Close() { s.launcher.close() }

// Functions returns the commands as functions of strings, in the order of the specs. They work
// until Close.
func (s *Set) Functions() []workers.Function {
	functions := make([]workers.Function, len(s.defined))
	for i, d := range s.defined {
		functions[i] = d.function
	}
	return functions
}

// define returns the function of a spec.
func (s *Set) define(spec Spec) (d defined) {
	h := &health{name: spec.Name, broken: s.broken}
	version := workers.Version(spec.version())
	switch spec.Kind {
	case Exec:
		d.function = workers.Define(spec.Name, withHealth(h, s.launcher.exec(spec.template, "\n")), version)
	case Exec0:
		d.function = workers.Define(spec.Name, withHealth(h, s.launcher.exec(spec.template, "")), version)
	case Filter:
		d.function = workers.DefineFilter(spec.Name, withHealth(h, s.launcher.filter(spec.template)), version)
	case Flat:
		d.function = workers.DefineFlatMap(spec.Name, yieldAll(withHealth(h, s.launcher.flat(spec.template))), version)
	case Pipe:
		d.function = workers.DefineBatch(spec.Name, withHealth(h, s.launcher.pipe(spec.Command)), append([]workers.DefineOption{version}, s.pipe...)...)
	case Coproc, CoprocID:
		d.coproc = &coproc{launcher: s.launcher, name: spec.Name, command: spec.Command, withIDs: spec.Kind == CoprocID, log: s.log}
		d.function = workers.DefineBatch(spec.Name, withHealth(h, d.coproc.call), version)
	}
	return d
}

// yieldAll returns f as a function that yields its values.
func yieldAll(f func(context.Context, string) ([]string, error)) func(context.Context, string, func(string)) error {
	return func(ctx context.Context, item string, yield func(string)) error {
		values, err := f(ctx, item)
		for _, v := range values {
			yield(v)
		}
		return err
	}
}

// withHealth returns f with its errors classified by h.
func withHealth[In, Out any](h *health, f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := f(ctx, in)
		return out, h.classify(err)
	}
}
