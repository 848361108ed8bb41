package command

import "github.com/dqbridge/dqbridge/workers"

// Functions returns the commands as functions of strings, in the order in
// which they were given. They work until Close.
func (s *Set) Functions() []workers.Function {
	functions := make([]workers.Function, len(s.specs))
	for i, spec := range s.specs {
		switch spec.Kind {
		case Exec:
			functions[i] = workers.Define(spec.Name, s.launcher.exec(spec.template, "\n"))
		case Exec0:
			functions[i] = workers.Define(spec.Name, s.launcher.exec(spec.template, ""))
		case Pipe:
			functions[i] = workers.DefineBatch(spec.Name, s.launcher.pipe(spec.Command))
		case Coproc:
			c := &coproc{launcher: s.launcher, command: spec.Command}
			functions[i] = workers.Define(spec.Name, c.call)
		}
	}
	return functions
}
