package codec

import (
	"reflect"
	"regexp"
	"strings"
)

// qualifier matches the parts of a type's name that are left out: the package before it, a whole
// path inside brackets, and the number of a type inside a function.
var qualifier = regexp.MustCompile(`[^\s\[\](){}*,;"]+\.|·\d+`)

// typeName returns the name of t on the wire. It leaves out differences between programs that
// understand each other: the size of a number, the package, and pointers.
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer && t.Name() == "" {
		t = t.Elem()
	}
	switch {
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr:
		return "int"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "float"
	case t.Kind() == reflect.String || t.Kind() == reflect.Bool:
		return t.Kind().String()
	case isBytes(t):
		return "bytes"
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		return "any"
	}
	name := strings.ReplaceAll(t.String(), "interface {}", "any")
	return qualifier.ReplaceAllString(name, "")
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}
