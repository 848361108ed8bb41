package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
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
	var found []doctor.Finding
	err := observe(c, func(o executor.Inspector) (err error) {
		found, err = look(c, o)
		return err
	})
	if err != nil {
		return err
	}
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

// lookAgain is the time between two looks at a namespace.
const lookAgain = time.Second

// look examines the namespace. If that finds faults, it looks again after a second, and leaves out those of
// the first look alone: they were of a moment. How busy Redis is takes two looks as well.
func look(c *urfave.Context, o executor.Inspector) ([]doctor.Finding, error) {
	only, looker := c.StringSlice("only"), watch.NewLooker(o)
	first, err := looker.Look(c.Context)
	if err != nil {
		return nil, err
	}
	facts := doctor.Facts{Snapshot: first.Snapshot, Server: first.Server, ServerErr: first.ServerErr}
	if doctor.NeedsRights(only...) {
		facts.Rights = doctor.ReadRights(c.Context, c.String("redis"))
	}
	if doctor.NeedsPayloads(only...) {
		facts.Payloads = doctor.ReadPayloads(c.Context, c.String("redis"))
	}
	found := doctor.Examine(facts, only...)
	if !slices.ContainsFunc(found, doctor.Finding.IsFault) && (!doctor.NeedsLoad(only...) || first.Server.MainCPU == 0) {
		return found, nil
	}
	select {
	case <-time.After(time.Until(first.At.Add(lookAgain))):
	case <-c.Done():
		return nil, context.Cause(c.Context)
	}
	second, err := looker.Look(c.Context)
	if err != nil {
		return nil, err
	}
	facts.Snapshot, facts.Server, facts.ServerErr = second.Snapshot, second.Server, second.ServerErr
	return doctor.InBoth(found, doctor.Examine(facts, only...)), nil
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
