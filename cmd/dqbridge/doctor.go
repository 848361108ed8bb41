package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

var errUnwell = errors.New("the namespace needs attention")

func doctorVerb() *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Usage: "look for what is wrong with the namespace and its Redis, and say what to do",
		UsageText: "dqbridge doctor [FLAGS]",
		Description: "Prints a line for each check: ok, warn, fail or skipped, its id and name, what was found, and behind -> what to do.\n" +
			"Exit status: 0 if no check failed, 1 if one did, 3 if Redis cannot be used.",
		Flags: common(cli.JSONFlag(),
			&urfave.StringSliceFlag{Name: "only", Usage: "run the check `ID` alone; may be given several times"},
			&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, DisableDefaultText: true, Usage: "leave out the checks that found nothing"}),
		Action: examine,
	}
}

func examine(c *urfave.Context) error {
	if err := checkShared(c, 0, "doctor"); err != nil {
		return err
	}
	for _, id := range c.StringSlice("only") {
		if !slices.Contains(doctor.Checks(), id) {
			return cli.Usagef("--only %s: there is no such check: use one of %s", id, strings.Join(doctor.Checks(), ", "))
		}
	}
	var facts doctor.Facts
	err := observe(c, func(o executor.Inspector) (err error) {
		if doctor.NeedsServer(c.StringSlice("only")...) {
			facts.Server, facts.ServerErr = o.Server(c.Context)
		}
		facts.Snapshot, err = o.Snapshot(c.Context)
		return err
	})
	if err != nil {
		return err
	}
	if doctor.NeedsRights(c.StringSlice("only")...) {
		facts.Rights = doctor.ReadRights(c.Context, c.String("redis"))
	}
	found := doctor.Examine(facts, c.StringSlice("only")...)
	worst := doctor.Worst(found)
	if c.Bool("quiet") {
		found = slices.DeleteFunc(found, func(f doctor.Finding) bool { return f.Level == doctor.OK })
	}
	if err := printFindings(c, found); err != nil {
		return err
	}
	if worst == doctor.Fail {
		return errUnwell
	}
	return nil
}

// printFindings prints a line for each finding, or an array with --json.
func printFindings(c *urfave.Context, found []doctor.Finding) error {
	if c.Bool("json") {
		return cli.List(c, found)
	}
	for _, f := range found {
		line := fmt.Sprintf("%-7s %-3s %-11s %s", f.Level, f.ID, f.Name, cli.Printable(f.Text))
		if f.Remedy != "" {
			line += " -> " + cli.Printable(f.Remedy)
		}
		if _, err := fmt.Fprintln(c.App.Writer, line); err != nil {
			return cli.AsOutput(err)
		}
	}
	return nil
}
