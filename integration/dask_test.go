package integration

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"testing"
)

// Every test that docs/dask.md names exists, and every expected case is in the page.
func TestDaskCasesHaveTheirTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/dask.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, s := range sources(t) {
		if dir := path.Dir(s.path); s.test() && (dir == "bridge" || dir == "executor") {
			for _, decl := range s.file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok {
					defined[f.Name.Name] = true
				}
			}
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 30 {
		t.Errorf("%d tests are named", len(named))
	}
	for _, m := range named {
		if !defined[m[1]] {
			t.Errorf("docs/dask.md names %s, which is no test of bridge or executor", m[1])
		}
	}
	for kind, n := range map[string]int{"T": 15, "R": 11, "D": 10} {
		rows := regexp.MustCompile(`(?m)^\| `+kind+`\d+ \|`).FindAllString(string(text), -1)
		if len(rows) != n {
			t.Errorf("%d cases %s, not %d", len(rows), kind, n)
		}
	}
}
