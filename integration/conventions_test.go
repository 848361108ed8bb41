// Package integration tests properties of the whole project: the commands as processes, the
// documents, and the conventions of the code.
package integration

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	root           = ".."
	module         = "github.com/dqbridge/dqbridge"
	maxLines       = 400
	maxFunc        = 60
	maxExported    = 174 // names of bridge, executor and workers, without methods
	maxWithMethods = 238
)

// imports lists the packages of this module that each package may import, always of a lower layer.
// A new package needs an entry here and in .golangci.yml.
var imports = map[string][]string{
	"inspect":             {"internal/nearest"},
	"internal/ahead":      {},
	"internal/batch":      {},
	"internal/glob":       {},
	"internal/nearest":    {},
	"internal/codec":      {"internal/batch"},
	"internal/logging":    {},
	"internal/probe":      {},
	"internal/trace":      {},
	"internal/broker":     {"internal/batch", "internal/logging", "internal/trace"},
	"internal/embedded":   {"internal/broker"},
	"internal/ranges":     {},
	"internal/waits":      {},
	"internal/producer":   {"internal/batch", "internal/broker", "internal/ranges", "internal/trace", "internal/waits"},
	"internal/consumer":   {"internal/batch", "internal/broker", "internal/ranges", "internal/trace", "internal/waits"},
	"internal/runner":     {"internal/batch", "internal/codec"},
	"internal/worker":     {"internal/batch", "internal/broker", "internal/codec", "internal/connection", "internal/probe", "internal/runner", "internal/trace"},
	"workers":             {"internal/broker", "internal/codec", "internal/connection", "internal/runner", "internal/worker"},
	"internal/connection": {"internal/broker", "internal/logging"},
	"internal/handle":     {"internal/broker", "internal/codec", "internal/connection", "internal/consumer", "internal/producer", "internal/worker"},
	"executor": {"inspect", "internal/batch", "internal/broker", "internal/codec", "internal/connection", "internal/consumer", "internal/embedded",
		"internal/handle", "internal/producer", "internal/ranges", "internal/runner", "internal/worker", "workers"},
	"internal/doctor": {"executor", "inspect", "internal/broker"},
	"internal/watch":  {"executor", "inspect", "internal/doctor"},
	"internal/scale":  {"inspect", "internal/watch"},
	"internal/api":    {"executor", "inspect", "internal/doctor", "internal/glob", "internal/scale", "internal/watch"},
	"bridge": {"internal/ahead", "internal/batch", "internal/broker", "internal/codec", "internal/consumer", "internal/handle", "internal/producer",
		"executor", "workers"},
	"flow":                 {"executor", "internal/handle", "workers"},
	"operate":              {"executor", "inspect", "internal/broker", "internal/handle"},
	"tracing":              {"executor", "internal/connection", "internal/handle", "internal/trace", "internal/worker", "workers"},
	"dqtest":               {"bridge", "executor", "inspect", "internal/embedded", "internal/probe", "workers"},
	"cmd/internal/builtin": {"workers"},
	"cmd/internal/command": {"workers", "internal/nearest"},
	"cmd/internal/child":   {"internal/batch", "internal/codec", "internal/runner", "cmd/internal/command", "workers"},
	"cmd/internal/jobs":    {"cmd/internal/command"},
	"cmd/internal/check":   {"bridge", "executor", "inspect", "internal/batch", "internal/broker", "internal/codec", "workers"},
	"internal/peek":        {"executor", "inspect"},
	"internal/page":        {"executor", "inspect", "internal/api", "internal/doctor", "internal/peek", "internal/watch", "operate"},
	"dashboard":            {"executor", "internal/page", "internal/watch", "operate"},
	"metrics":              {"executor", "inspect", "internal/broker", "internal/connection", "internal/watch", "internal/worker", "workers"},
	"cmd/internal/httpd":   {},
	"cmd/internal/cli": {"cmd/internal/httpd", "bridge", "executor", "inspect", "workers", "internal/ahead", "internal/broker", "internal/connection", "internal/glob", "cmd/internal/builtin", "cmd/internal/child", "internal/codec",
		"cmd/internal/command", "cmd/internal/jobs", "internal/nearest", "operate"},
	"cmd/internal/columns":   {"inspect", "cmd/internal/cli"},
	"cmd/internal/top":       {"executor", "inspect", "internal/watch", "internal/doctor", "internal/glob", "cmd/internal/cli", "cmd/internal/columns", "operate"},
	"cmd/internal/telemetry": {"executor", "internal/connection", "tracing", "workers"},
	"cmd/dqworker":           {"executor", "workers", "internal/runner", "internal/worker", "metrics", "cmd/internal/cli", "cmd/internal/command", "cmd/internal/httpd", "cmd/internal/pages", "cmd/internal/telemetry"},
	"cmd/internal/pages":     {"executor", "inspect", "internal/page", "internal/watch", "operate", "cmd/internal/cli"},
	"cmd/dqbridge": {"bridge", "executor", "flow", "inspect", "workers", "cmd/internal/check", "internal/api", "internal/codec", "internal/doctor", "internal/scale", "internal/watch", "metrics", "cmd/internal/httpd", "cmd/internal/cli", "cmd/internal/columns", "cmd/internal/command",
		"cmd/internal/jobs", "internal/nearest", "cmd/internal/pages", "cmd/internal/telemetry", "cmd/internal/top", "internal/page", "internal/peek", "operate"},

	"examples/quickstart":      {"bridge", "executor", "workers"},
	"examples/walkthrough":     {"bridge", "executor", "workers"},
	"examples/hashfiles":       {"bridge", "executor", "workers"},
	"examples/sonnet":          {"bridge", "executor", "workers"},
	"examples/apiclient":       {"bridge", "executor", "workers"},
	"examples/wordcount":       {"bridge", "executor", "flow", "workers"},
	"examples/service":         {"executor", "workers"},
	"examples/etl":             {"bridge", "executor", "workers"},
	"examples/channels":        {"bridge", "executor", "workers"},
	"examples/tasks":           {"bridge", "executor", "workers"},
	"examples/crawler":         {"bridge", "executor", "flow", "workers"},
	"examples/replicas":        {"bridge", "executor", "workers"},
	"examples/upgrade":         {"bridge", "executor", "workers"},
	"examples/fleet/functions": {"workers"},
	"examples/fleet/producer":  {"bridge", "executor", "examples/fleet/functions"},
	"examples/fleet/worker":    {"workers", "examples/fleet/functions"},
}

// homes lists the packages that may import certain external packages.
var homes = map[string][]string{
	"github.com/redis/go-redis/":     {"internal/broker", "internal/embedded"},
	"github.com/yuin/gopher-lua":     {"internal/embedded"},
	"github.com/alicebob/miniredis/": {"internal/testkit"},
	"github.com/klauspost/compress/": {"internal/codec"},
	"github.com/vmihailenco/":        {"internal/codec"},
	"github.com/prometheus/":         {"metrics", "cmd/internal/httpd", "cmd/dqbridge"},
	"go.opentelemetry.io/":           {"tracing", "cmd/internal/telemetry"},
	"github.com/urfave/cli/":         {"cmd/internal/cli", "cmd/internal/pages", "cmd/dqbridge", "cmd/dqworker"},
	"golang.org/x/term":              {"cmd/internal/cli"},
	"charm.land/":                    {"cmd/internal/top"},
	"github.com/charmbracelet/":      {"cmd/internal/top"},
	"os/exec":                        {"cmd/internal/command", "cmd/internal/check"},
	"testing":                        {"dqtest"},
}

// A source is a Go file, with its path from the root.
type source struct {
	path  string
	lines int
	file  *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

var positions = token.NewFileSet()

var tree = sync.OnceValues(func() ([]source, error) {
	var sources []source
	err := walk(func(name string, text []byte) error {
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
		sources = append(sources, source{name, strings.Count(string(text), "\n"), file})
		return err
	})
	return sources, err
})

func sources(t *testing.T) []source {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// walk visits the files of the project, without those that tools generate or own.
func walk(visit func(name string, text []byte) error) error {
	return fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "bin"):
			return fs.SkipDir
		case !entry.Type().IsRegular(), name == ".git": // a worktree has a file .git
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		return errors.Join(err, visit(name, text))
	})
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.lines > maxLines && !s.test() {
			t.Errorf("%s has %d lines, more than %d", s.path, s.lines, maxLines)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				from, to := positions.Position(n.Pos()), positions.Position(n.End())
				if lines := to.Line - from.Line + 1; lines > maxFunc {
					t.Errorf("%v: a function of %d lines, more than %d", from, lines, maxFunc)
				}
			}
			return true
		})
	}
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, pkg := range list(t, "./...") {
		name := strings.TrimPrefix(pkg.ImportPath, module+"/")
		if name == "integration" || strings.HasPrefix(name, "integration/") || name == "internal/testkit" || strings.HasPrefix(name, "internal/testkit/") {
			continue
		}
		allowed, known := imports[name]
		if !known {
			t.Errorf("%s has no place in the diagram of imports", name)
		}
		for _, imported := range pkg.Imports {
			if inner, ours := strings.CutPrefix(imported, module+"/"); ours && !slices.Contains(allowed, inner) {
				t.Errorf("%s imports %s, which is not below it", name, inner)
			}
			for outer, home := range homes {
				if strings.HasPrefix(imported+"/", strings.TrimSuffix(outer, "/")+"/") && !slices.Contains(home, name) {
					t.Errorf("%s imports %s, which only %q may", name, imported, home)
				}
			}
		}
	}
}

// A program that imports the library links no test code.
func TestUsersLinkNoTestCode(t *testing.T) {
	t.Parallel()
	for _, pkg := range list(t, "-deps", "./bridge", "./executor", "./workers", "./cmd/...") {
		if pkg.ImportPath == "testing" || strings.Contains(pkg.ImportPath, "/internal/testkit") {
			t.Errorf("%s is in users' programs", pkg.ImportPath)
		}
	}
}

// A program that imports the library links the client of Prometheus only with package metrics.
func TestLibraryLinksNoPrometheus(t *testing.T) {
	t.Parallel()
	for _, pkg := range list(t, "-deps", "./bridge", "./executor", "./workers", "./dqtest", "./inspect") {
		if strings.HasPrefix(pkg.ImportPath, "github.com/prometheus/") || strings.HasPrefix(pkg.ImportPath, "google.golang.org/protobuf") {
			t.Errorf("%s is in users' programs", pkg.ImportPath)
		}
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listed
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, pkg)
	}
}

var embedded = regexp.MustCompile(`(?m)^\t?//go:embed (.+)$`)

func TestScriptsAreEmbedded(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob(filepath.Join(root, "internal/broker/lua/*.lua"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in internal/broker/lua: %v", err)
	}
	embeds := embeds(t)
	for _, script := range scripts {
		if name := filepath.Base(script); !embeds["lua/"+name] {
			t.Errorf("%s: no file of internal/broker embeds it by its name", name)
		}
	}
}

func embeds(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(root, "internal/broker/*.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range embedded.FindAllStringSubmatch(string(text), -1) {
			for _, name := range strings.Fields(line[1]) {
				found[name] = true
			}
		}
	}
	return found
}

func TestExportedNamesAreFewAndDocumented(t *testing.T) {
	t.Parallel()
	top, all := 0, 0
	for _, dir := range []string{"bridge", "executor", "workers", "inspect", "operate", "metrics"} {
		var files []*ast.File
		for _, s := range sources(t) {
			if path.Dir(s.path) == dir && !s.test() {
				// Parsed again, because go/doc modifies its files.
				file, err := parser.ParseFile(positions, filepath.Join(root, s.path), nil, parser.ParseComments)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, file)
			}
		}
		pkg, err := doc.NewFromFiles(positions, files, module+"/"+dir)
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %d files, %v", dir, len(files), err)
			continue
		}
		names := exported(pkg)
		for name, text := range names {
			if text == "" {
				t.Errorf("%s.%s is exported and not documented", dir, name)
			}
		}
		if dir == "inspect" || dir == "operate" || dir == "metrics" { // programs that move values need neither
			continue
		}
		for name := range names {
			if !strings.Contains(name, ".") {
				top++
			}
		}
		all += len(names)
	}
	if top > maxExported || all > maxWithMethods {
		t.Errorf("%d exported names, at most %d; with methods %d, at most %d", top, maxExported, all, maxWithMethods)
	}
}

// exported returns the exported names of a package with their documentation. A method has the name
// Type.Method.
func exported(pkg *doc.Package) map[string]string {
	names := map[string]string{}
	values, funcs := slices.Concat(pkg.Consts, pkg.Vars), pkg.Funcs
	for _, typ := range pkg.Types {
		names[typ.Name] = typ.Doc
		values, funcs = slices.Concat(values, typ.Consts, typ.Vars), slices.Concat(funcs, typ.Funcs)
		for _, method := range typ.Methods {
			names[typ.Name+"."+method.Name] = method.Doc
		}
	}
	for _, fun := range funcs {
		names[fun.Name] = fun.Doc
	}
	for _, value := range values {
		for _, spec := range value.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			for _, name := range spec.Names {
				if name.IsExported() {
					names[name.Name] = value.Doc + spec.Doc.Text() + spec.Comment.Text()
				}
			}
		}
	}
	return names
}

func TestErrorTextsAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for name, text := range sentinels(s.file) {
			name = path.Dir(s.path) + "." + name
			if other := seen[text]; other != "" {
				t.Errorf("%s and %s have one text: %s", other, name, text)
			}
			seen[text] = name
		}
	}
}

// sentinels returns the texts of package variables made by errors.New or fmt.Errorf.
func sentinels(file *ast.File) map[string]string {
	texts := map[string]string{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				call, ok := value.(*ast.CallExpr)
				if !ok || !selects(call.Fun, "errors", "New") && !selects(call.Fun, "fmt", "Errorf") {
					continue
				}
				if text, ok := call.Args[0].(*ast.BasicLit); ok {
					texts[spec.Names[i].Name] = text.Value
				}
			}
		}
	}
	return texts
}

func selects(expr ast.Expr, pkg, name string) bool {
	sel, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && sel.Sel.Name == name
}

var mapRow = regexp.MustCompile("(?m)^\\| *`([^`]+\\.go)` \\| ([^|]*) \\|")

// typesOf returns the types that a file declares, as the file map lists them.
func typesOf(file *ast.File) string {
	var names []string
	for _, decl := range file.Decls {
		if types, ok := decl.(*ast.GenDecl); ok && types.Tok == token.TYPE {
			for _, spec := range types.Specs {
				names = append(names, spec.(*ast.TypeSpec).Name.Name)
			}
		}
	}
	if names == nil {
		return "-"
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

func TestFileMapListsAllFiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows, types := map[string]int{}, map[string]string{}
	for _, row := range mapRow.FindAllStringSubmatch(string(text), -1) {
		rows[row[1]]++
		types[row[1]] = row[2]
	}
	for _, s := range sources(t) {
		top, _, _ := strings.Cut(s.path, "/")
		if !s.test() && !strings.Contains(s.path, "/testdata/") && slices.Contains([]string{"bridge", "executor", "workers", "inspect", "operate", "dashboard", "metrics", "tracing", "dqtest", "flow", "internal", "cmd"}, top) {
			if rows[s.path] != 1 {
				t.Errorf("the file map has %d rows of %s", rows[s.path], s.path)
			}
			if want := typesOf(s.file); types[s.path] != want {
				t.Errorf("the file map lists the types %s for %s, which has %s", types[s.path], s.path, want)
			}
			delete(rows, s.path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		t.Errorf("the file map names %s, which is no file of the project", name)
	}
}

func TestPackagesHaveComments(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		dir := path.Dir(s.path)
		documented[dir] = documented[dir] || s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestTestsDoNotSleepOrSkip(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		testkit := strings.HasPrefix(s.path, "internal/testkit/")
		if !s.test() && !testkit {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			switch {
			case !ok:
			case selects(sel, "time", "Sleep") && !testkit:
				t.Errorf("%v: a sleep; wait for a condition", positions.Position(n.Pos()))
			case s.path == "internal/testkit/server.go": // its tests need a server, which -short leaves out
			case slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name):
				t.Errorf("%v: a test that can be skipped", positions.Position(n.Pos()))
			}
			return true
		})
	}
}

func TestTreeContainsNoMachinePaths(t *testing.T) {
	t.Parallel()
	machine := regexp.MustCompile(`(^|[^.\w])/(work|farm)/`)
	err := walk(func(name string, text []byte) error {
		if at := machine.Find(text); at != nil {
			t.Errorf("%s names a path of one machine: %s", name, at)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
