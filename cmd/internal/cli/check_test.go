package cli

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision, modified := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, got := range map[string]string{
		"v1.2.3":                          version("", info("v1.2.3", revision)),
		"v9":                              version("v9", info("v1.2.3")),
		"v0.1.0-devel":                    version("", nil),
		"v0.1.0-devel+0123456789ab":       version("", info("(devel)", revision)),
		"v0.1.0-devel+0123456789ab.dirty": version("", info("", revision, modified)),
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestNextVersionIsThatOfTheChangelog(t *testing.T) {
	text, err := os.ReadFile("../../../CHANGELOG.md")
	if err != nil || !strings.Contains(string(text), "To be "+nextVersion+".") {
		t.Errorf("CHANGELOG.md is not about %s: %v", nextVersion, err)
	}
}
