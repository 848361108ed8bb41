package integration

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// flatRecords are the types that may embed a type which embeds another one: their JSON in Redis has
// the fields of all of them side by side.
var flatRecords = map[string]bool{"internal/broker.Out": true}

// embeddings returns, for each struct type of a file, the types of this module that it embeds.
func embeddings(s source) map[string][]string {
	dir := path.Dir(s.path)
	packages := map[string]string{}
	for _, spec := range s.file.Imports {
		if inner, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/"); ours {
			packages[path.Base(inner)] = inner
		}
	}
	found := map[string][]string{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		name := dir + "." + spec.Name.Name
		found[name] = nil
		for _, field := range fields.Fields.List {
			if len(field.Names) == 0 {
				found[name] = append(found[name], typeName(dir, packages, field.Type))
			}
		}
		return true
	})
	return found
}

// typeName returns the qualified name of a type, without its pointer and its type arguments.
func typeName(dir string, packages map[string]string, expr ast.Expr) string {
	switch x := expr.(type) {
	case *ast.StarExpr:
		return typeName(dir, packages, x.X)
	case *ast.IndexExpr:
		return typeName(dir, packages, x.X)
	case *ast.IndexListExpr:
		return typeName(dir, packages, x.X)
	case *ast.Ident:
		return dir + "." + x.Name
	case *ast.SelectorExpr:
		return packages[x.X.(*ast.Ident).Name] + "." + x.Sel.Name
	}
	return ""
}

// depth returns the levels of embedding of a type.
func depth(embeds map[string][]string, name string) int {
	deepest := 0
	for _, inner := range embeds[name] {
		deepest = max(deepest, 1+depth(embeds, inner))
	}
	return deepest
}

// A reader finds the origin of a field or a method at most one level below.
func TestTypesEmbedOneLevel(t *testing.T) {
	t.Parallel()
	embeds := map[string][]string{}
	for _, s := range sources(t) {
		if !s.test() && !strings.HasPrefix(s.path, "bench/") {
			for name, inner := range embeddings(s) {
				embeds[name] = inner
			}
		}
	}
	if len(embeds) < 100 {
		t.Fatalf("%d struct types", len(embeds))
	}
	for name := range embeds {
		if n := depth(embeds, name); n > 1 && !flatRecords[name] {
			t.Errorf("%s embeds %d levels: name the field", name, n)
		}
	}
}

// Without this test, a check that detects no breach would pass.
func TestDepthCountsLevels(t *testing.T) {
	t.Parallel()
	embeds := map[string][]string{"a": {"b", "x"}, "b": {"c"}, "c": nil}
	if a, b, c := depth(embeds, "a"), depth(embeds, "b"), depth(embeds, "c"); a != 2 || b != 1 || c != 0 {
		t.Errorf("the depths are %d, %d and %d", a, b, c)
	}
}
