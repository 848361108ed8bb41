package command

import (
	"context"

	"github.com/dqbridge/dqbridge/workers"
)

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
