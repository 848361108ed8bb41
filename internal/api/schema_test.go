package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dqbridge/dqbridge/internal/api"
)

const schemaFile = "../../docs/openapi.json"

type object = map[string]any

// A generator makes schemas from types.
type generator struct {
	schemas object
	notes   map[string]string // by type and field, the comments of the source
}

// name returns the name of a type in the document.
func name(t reflect.Type) string {
	if of, ok := strings.CutPrefix(t.Name(), "List["); ok {
		return of[strings.LastIndex(of, ".")+1:len(of)-1] + "List"
	}
	return strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
}

// of returns the schema of a type.
func (g generator) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return object{"anyOf": []any{g.of(t.Elem()), object{"type": "null"}}}
	case t == reflect.TypeFor[[]byte]():
		return object{"type": []any{"string", "null"}, "contentEncoding": "base64"}
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": g.of(t.Elem())}
	case t.Kind() == reflect.Struct && t.Name() == "":
		return g.fields(t, "")
	case t.Kind() == reflect.Struct:
		if g.schemas[name(t)] == nil {
			g.schemas[name(t)] = object{} // for a type within itself
			g.schemas[name(t)] = g.fields(t, t.Name())
		}
		return object{"$ref": "#/components/schemas/" + name(t)}
	}
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer", reflect.Float64: "number"}
	if kinds[t.Kind()] == "" {
		panic("no schema for " + t.String())
	}
	return object{"type": kinds[t.Kind()]}
}

func (g generator) fields(t reflect.Type, owner string) object {
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		schema := g.of(f.Type)
		owner, _, _ := strings.Cut(owner, "[")
		if note := g.notes[owner+"."+f.Name]; note != "" {
			schema["description"] = note
		}
		if properties[tag] = schema; options == "" {
			required = append(required, tag)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}

// notes reads the comments of the fields of all records.
func notes(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"../../inspect", "../../executor", "../doctor", "../scale", "."} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if record, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range record.Fields.List {
						for _, id := range f.Names {
							found[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()+f.Comment.Text()), " ")
						}
					}
				}
				return true
			})
		}
	}
	return found
}

// parameter is a part of a path in braces.
var parameter = regexp.MustCompile(`\{(\w+)\}`)

// document returns the description of all routes in OpenAPI.
func document(t *testing.T) []byte {
	t.Helper()
	g := generator{object{}, notes(t)}
	failed := object{"description": "no answer", "content": object{"application/json": object{"schema": g.of(reflect.TypeFor[api.Failure]())}}}
	paths := object{}
	for _, r := range api.Routes() {
		parameters := []any{}
		for _, found := range parameter.FindAllStringSubmatch(r.Path, -1) {
			parameters = append(parameters, object{"name": found[1], "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		for _, query := range r.Query {
			parameters = append(parameters, object{"name": query, "in": "query", "schema": object{"type": "string"}})
		}
		answer := object{"description": r.About, "content": object{"application/json": object{"schema": g.of(reflect.TypeOf(r.Answer))}}}
		paths[r.Path] = object{"get": object{"summary": r.About, "parameters": parameters, "responses": object{"200": answer, "default": failed}}}
	}
	g.of(reflect.TypeFor[api.Event]())
	stream := object{"description": "an Event as JSON for each new view", "content": object{"text/event-stream": object{"schema": object{"type": "string"}}}}
	paths[api.Prefix+"events"] = object{"get": object{"summary": "an event for each new view", "responses": object{"200": stream}}}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0", "info": object{"title": "dqbridge", "version": "v1"}, "paths": paths, "components": object{"schemas": g.schemas},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	t.Parallel()
	text := document(t)
	if *update {
		if err := os.WriteFile(schemaFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(schemaFile); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%s is not that of the types (go test ./internal/api -update writes it): %v", schemaFile, err)
	}
}

// compiler has the schemas of the file.
var compiler = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c, c.AddResource("openapi.json", doc)
})

var compiling sync.Mutex

// valid returns an error if a body does not fit the schema of the type of answer.
func valid(t *testing.T, answer any, body []byte) error {
	t.Helper()
	compiling.Lock()
	defer compiling.Unlock()
	c, err := compiler()
	if err != nil {
		return err
	}
	schema, err := c.Compile(fmt.Sprint("openapi.json#/components/schemas/", name(reflect.TypeOf(answer))))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// A schema that accepts everything would pass too.
func TestSchemaRefusesOtherAnswers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"at":"yesterday","worker":{}}`, `[]`, `{"at":"2026-11-28T13:24:50Z"}`} {
		if err := valid(t, api.WorkerAnswer{}, []byte(body)); err == nil {
			t.Errorf("the schema of a worker accepts %s", body)
		}
	}
}
