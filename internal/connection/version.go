package connection

import (
	"regexp"
	"runtime/debug"
)

// nextVersion is the version to be released next, as in CHANGELOG.md.
const nextVersion = "0.1.0"

// built is the version that the flag -X of the linker sets, for builds without the repository. The
// Dockerfile does so.
var built string

// module is the path of this module.
const module = "github.com/dqbridge/dqbridge"

// Version returns the version of dqbridge in this program, see version.
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return version(built, info)
}

// pseudoVersion matches the version that the go command makes for a commit without a tag. The
// groups are the revision and the mark of changed files.
var pseudoVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+-(?:[0-9A-Za-z.-]+\.)?[0-9]{14}-([0-9a-f]{12})(\+dirty)?$`)

// revisionLength is the number of characters of a short revision, as in a pseudo-version.
const revisionLength = 12

// version returns the version of the linker flag, or the tag that the module was built from. A
// build of another commit has the next version with "-devel", the short revision if it is known,
// and "-dirty" if files were changed. For a program of another module, it is the version that this
// module was required with.
func version(built string, info *debug.BuildInfo) string {
	if built != "" {
		return built
	}
	if info == nil {
		return develVersion("", "")
	}
	for _, dep := range info.Deps {
		if dep.Path == module && dep.Replace == nil {
			return dep.Version
		} else if dep.Path == module {
			return develVersion("", "")
		}
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
