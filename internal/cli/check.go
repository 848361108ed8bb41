package cli

import (
	"fmt"
	"runtime/debug"
	"slices"

	urfave "github.com/urfave/cli/v2"
)

// CheckKnown refuses names of functions that cannot come any more.
func CheckKnown(names, known []string) error {
	for _, name := range names {
		if !slices.Contains(known, name) {
			return Usagef("unknown function %q: %s", name, Instead(name, known))
		}
	}
	return nil
}

// CheckText refuses a function whose items are not text: they are not lines.
func CheckText(function, typ, codec string) error {
	if codec == "raw" || codec == "json" {
		return nil
	}
	return Usagef("function %s has items of %s (%s), which are not lines of text", function, typ, codec)
}

// AsUsage makes a mistake of the user's of an error.
func AsUsage(err error) error { return Usage(err.Error()) }

// PrintVersion prints the version of the command.
func PrintVersion(c *urfave.Context) error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, version)
	return AsOutput(err)
}
