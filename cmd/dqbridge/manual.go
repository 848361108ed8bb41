package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
)

func completionVerb() *urfave.Command {
	return &urfave.Command{
		Name: "completion", Usage: "print the script by which a shell completes verbs, flags and names: bash, zsh or fish",
		UsageText: "source <(dqbridge completion bash)", ArgsUsage: "SHELL",
		Action: func(c *urfave.Context) error {
			script, err := cli.CompletionScript(c.Args().First(), "dqbridge", "dqworker")
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.App.Writer, script)
			return cli.AsOutput(err)
		},
	}
}

func manVerb() *urfave.Command {
	return &urfave.Command{
		Name: "man", Usage: "print the man page", UsageText: "dqbridge man | man -l -",
		Action: func(c *urfave.Context) error { return cli.PrintMan(c, app()) },
	}
}
