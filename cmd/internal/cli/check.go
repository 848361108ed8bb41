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

// nextVersion is the version to be released next, as in CHANGELOG.md.
const nextVersion = "0.1.0"

// built is the version that the linker is told, as for an image, which is built without the repository.
var built string

// PrintVersion prints the version of the command.
func PrintVersion(c *urfave.Context) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, version(built, info))
	return AsOutput(err)
}

// version is that of the linker or of the module, and otherwise the next one with the revision that it is built from.
func version(built string, info *debug.BuildInfo) string {
	if built != "" {
		return built
	}
	text := "v" + nextVersion + "-devel"
	if info == nil {
		return text
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text += "+" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			text += ".dirty"
		}
	}
	return text
}
