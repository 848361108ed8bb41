// Package pages serves the web pages of a namespace for a command: its flags, and pages that read
// Redis only while somebody looks at them.
package pages

import (
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/operate"
)

const minToken = 16 // bytes

// guards are the names of the flags of Flags.
var guards = []string{"token-file", "host", "hide-payloads"}

// Flags returns the flags that protect pages.
func Flags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: guards[0], Usage: "ask users of the pages for the token in the first line of `FILE`"},
		&urfave.StringSliceFlag{Name: guards[1], Usage: "answer to the host `NAME` besides those of the loopback; may be given several times"},
		&urfave.BoolFlag{Name: guards[2], DisableDefaultText: true, Usage: "show the sizes of items in place of the items"},
	}
}

// Given returns the name of a flag of Flags that is given, "" if none is.
func Given(c *urfave.Context) string {
	for _, name := range guards {
		if c.IsSet(name) {
			return name
		}
	}
	return ""
}

// Options returns the settings of the flags. Without a token file, its token is "".
func Options(c *urfave.Context) (page.Options, error) {
	options := page.Options{
		Name: cli.Address(c), Hosts: c.StringSlice("host"), HidePayloads: c.Bool("hide-payloads"), As: operate.Act{}.Name(),
		Log: cli.Logger(c, c.App.ErrWriter),
	}
	var err error
	if file := c.String("token-file"); file != "" {
		options.Token, err = readToken(file)
	}
	return options, err
}

// readToken returns the first line of a file.
func readToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", cli.Usagef("--token-file: %v", err)
	}
	token, _, _ := strings.Cut(string(text), "\n")
	if token = strings.TrimSpace(token); len(token) < minToken {
		return "", cli.Usagef("--token-file %s: its first line has %d characters: write at least %d, such as those of `openssl rand -hex 16`", file, len(token), minToken)
	}
	return token, nil
}
