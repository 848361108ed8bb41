package integration

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every known failure has a row, and every test that a row names exists.
func TestKnownFailuresHaveTheirTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/known-failures.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				defined[f.Name.Name] = true
			}
		}
	}
	for kind, n := range map[string]int{"R": 33, "H": 29} {
		rows := regexp.MustCompile(`(?m)^\| `+kind+`\d+ \|.*$`).FindAllString(string(text), -1)
		if len(rows) != n {
			t.Errorf("%d failures %s, not %d", len(rows), kind, n)
		}
		for _, row := range rows {
			named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllStringSubmatch(row, -1)
			for _, m := range named {
				if !defined[m[1]] {
					t.Errorf("%s is no test: %s", m[1], row)
				}
			}
			cannot := strings.Contains(row, "not in this version") || strings.Contains(row, "there is none")
			if len(named) == 0 && !cannot {
				t.Errorf("no test, and no reason why it cannot happen: %s", row)
			}
		}
	}
}
