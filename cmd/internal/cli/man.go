package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"
)

// ManFlag returns --man of a command without verbs.
func ManFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "man", DisableDefaultText: true, Usage: "print the man page"}
}

// PrintMan prints the man page of an app that has not run.
func PrintMan(c *urfave.Context, a *urfave.App) error {
	page, err := a.ToManWithSection(1)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.App.Writer, page)
	return AsOutput(err)
}
