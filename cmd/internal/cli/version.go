package cli

import (
	"fmt"
	"regexp"
	"runtime/debug"

	urfave "github.com/urfave/cli/v2"
)

// nextVersion is the version to be released next, as in CHANGELOG.md.
const nextVersion = "0.1.0"

// built is the version that the flag -X of the linker sets, for builds without the repository. The
// Dockerfile does so.
var built string

// PrintVersion prints the version of the command.
func PrintVersion(c *urfave.Context) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, version(built, info))
	return AsOutput(err)
}

// pseudoVersion matches the version that the go command makes for a commit without a tag. The
// groups are the revision and the mark of changed files.
var pseudoVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+-(?:[0-9A-Za-z.-]+\.)?[0-9]{14}-([0-9a-f]{12})(\+dirty)?$`)

// revisionLength is the number of characters of a short revision, as in a pseudo-version.
const revisionLength = 12

// version returns the version of the linker flag, or the tag that the module was built from. A
// build of another commit has the next version with "-devel", the short revision if it is known,
// and "-dirty" if files were changed.
func version(built string, info *debug.BuildInfo) string {
	if built != "" {
		return built
	}
	if info == nil {
		return develVersion("", "")
	}
	v := info.Main.Version
	if pseudo := pseudoVersion.FindStringSubmatch(v); pseudo != nil {
		return develVersion(pseudo[1], pseudo[2])
	}
	if v != "" && v != "(devel)" {
		return v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision, dirty := settings["vcs.revision"], ""
	if settings["vcs.modified"] == "true" {
		dirty = "dirty"
	}
	return develVersion(revision[:min(revisionLength, len(revision))], dirty)
}

// develVersion returns the version of an untagged commit. A non-empty dirty says that files were
// changed.
func develVersion(revision, dirty string) string {
	text := "v" + nextVersion + "-devel"
	if revision != "" {
		text += "+" + revision
	}
	if dirty != "" {
		text += "-dirty"
	}
	return text
}
