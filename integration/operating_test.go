package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/doctor"
)

// The page of operators has the sentences by which flows say why they stand still or what limits them, the remedies, and
// all checks of the doctor.
func TestOperatingHasAllReasons(t *testing.T) {
	t.Parallel()
	page := strings.Join(strings.Fields(read(t, filepath.Join(root, "docs", operating+".md"))), " ")
	values := regexp.MustCompile(`%\.?\d*[a-z%]`)
	for _, name := range []string{"inspect/stuck.go", "inspect/bottleneck.go", "inspect/remedy.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			sentence, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(sentence, " ") {
				return true
			}
			for _, part := range values.Split(sentence, -1) {
				if part = strings.Trim(part, " ,;:()"); !strings.Contains(page, part) {
					t.Errorf("docs/%s.md has no %q of %q", operating, part, sentence)
				}
			}
			return true
		})
	}
	for _, id := range doctor.Checks() {
		if !regexp.MustCompile(`\b` + id + `\b`).MatchString(page) {
			t.Errorf("docs/%s.md has no %s", operating, id)
		}
	}
}
