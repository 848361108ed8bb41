package main

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/workers"
)

// An offer is the functions of the worker.
type offer struct {
	commands *command.Set
	children []workers.Function // of --child
	builtins []workers.Function // unless another function has the name
}

// offered returns the functions of the flags. The caller closes its commands.
func offered(c *urfave.Context) (offer, error) {
	set, functions, err := cli.Commands(c, c.App.ErrWriter)
	if err != nil {
		return offer{}, err
	}
	o := offer{commands: set, children: functions[len(set.Functions()):]}
	if c.Bool("builtin") {
		o.builtins = cli.WithBuiltins(nil)
	}
	return o, nil
}

// functions returns all functions.
func (o offer) functions() []workers.Function {
	all := slices.Concat(o.commands.Functions(), o.children)
	names := cli.Names(all, workers.Function.Name)
	for _, f := range o.builtins {
		if !slices.Contains(names, f.Name()) {
			all = append(all, f)
		}
	}
	return all
}

// with returns the offer with other commands. Commands that are equal keep their functions. It returns a
// Usage error for a command that cannot run, and for a name that a child has.
func (o offer) with(specs []string) (offer, error) {
	set, err := o.commands.With(specs)
	if err != nil {
		return offer{}, cli.Usagef("--fn: %s", strings.TrimPrefix(err.Error(), "command "))
	}
	if err := set.Check(); err != nil {
		return offer{}, cli.Usagef("--fn: %v", err)
	}
	taken := cli.Names(o.children, workers.Function.Name)
	for _, f := range set.Functions() {
		if slices.Contains(taken, f.Name()) {
			return offer{}, cli.Usagef("--fn: a function of --child has the name %q: choose another one", f.Name())
		}
	}
	o.commands = set
	return o, nil
}
