package connection

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionOfEachFormOfBuildInfo(t *testing.T) {
	revision, modified := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	for name, c := range map[string]struct {
		built, module string
		settings      []debug.BuildSetting
		want          string
	}{
		"linker flag":                {"v9", "v1.2.3", nil, "v9"},
		"tag":                        {"", "v1.2.3", []debug.BuildSetting{revision, clean}, "v1.2.3"},
		"tag of a pre-release":       {"", "v1.2.3-rc.1", nil, "v1.2.3-rc.1"},
		"tag, changed files":         {"", "v1.2.3+dirty", []debug.BuildSetting{revision, modified}, "v1.2.3+dirty"},
		"no tag":                     {"", "v0.0.0-20261129200658-0123456789ab", []debug.BuildSetting{revision, clean}, "v0.1.0-devel+0123456789ab"},
		"no tag, changed files":      {"", "v0.0.0-20261129200658-0123456789ab+dirty", []debug.BuildSetting{revision, modified}, "v0.1.0-devel+0123456789ab-dirty"},
		"no tag, installed by path":  {"", "v0.0.0-20261129200658-0123456789ab", nil, "v0.1.0-devel+0123456789ab"},
		"after a tag":                {"", "v0.0.2-0.20261129200658-0123456789ab", nil, "v0.1.0-devel+0123456789ab"},
		"after a tag of a candidate": {"", "v0.0.2-rc.1.0.20261129200658-0123456789ab", nil, "v0.1.0-devel+0123456789ab"},
		"no module version":          {"", "(devel)", []debug.BuildSetting{revision, clean}, "v0.1.0-devel+0123456789ab"},
		"the same, changed files":    {"", "", []debug.BuildSetting{revision, modified}, "v0.1.0-devel+0123456789ab-dirty"},
		"no repository":              {"", "(devel)", nil, "v0.1.0-devel"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: c.settings}
		if got := version(c.built, info); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	other := debug.BuildInfo{Main: debug.Module{Path: "example.com/fleet", Version: "v7.0.0"}, Deps: []*debug.Module{{Path: "a", Version: "v3.0.0"}, {Path: module, Version: "v1.2.3"}}}
	if got := version("", &other); got != "v1.2.3" {
		t.Errorf("in a program of another module: %q", got)
	}
	other.Deps[1].Replace = &debug.Module{Path: "../dqbridge"}
	if got := version("", &other); got != "v0.1.0-devel" {
		t.Errorf("in a program that replaces the module: %q", got)
	}
	if got := version("", nil); got != "v0.1.0-devel" {
		t.Errorf("no build info: %q", got)
	}
}

func TestNextVersionIsInTheChangelog(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil || !strings.Contains(string(text), "To be "+nextVersion+".") {
		t.Errorf("CHANGELOG.md is not about %s: %v", nextVersion, err)
	}
}

// The linker ignores -X for a variable that does not exist.
func TestDockerfileSetsTheVersionVariable(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`-X (\S+)\.(\w+)=\$VERSION`).FindAllStringSubmatch(string(text), -1)
	if len(flags) != 1 {
		t.Fatalf("the Dockerfile has %d flags -X of $VERSION", len(flags))
	}
	path, name := flags[0][1], flags[0][2]
	if want := reflect.TypeFor[Settings]().PkgPath(); path != want {
		t.Errorf("the Dockerfile names package %s, not %s", path, want)
	}
	if !isString(t, name) {
		t.Errorf("the Dockerfile names variable %s, and the package has no such string", name)
	}
	if name != "built" {
		t.Errorf("the Dockerfile sets %s, and Version reads built", name)
	}
}

// isString reports whether the package declares a string variable without a value, as -X needs it.
func isString(t *testing.T, name string) (found bool) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				value := spec.(*ast.ValueSpec)
				typ, ok := value.Type.(*ast.Ident)
				found = found || ok && typ.Name == "string" && len(value.Values) == 0 && value.Names[0].Name == name
			}
		}
	}
	return found
}
