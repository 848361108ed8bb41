package broker

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files of docs/ that are made from the code, see make protocol")

// A protocolScript is a script of docs/protocol.json. Source is its text as it is sent, with its functions of lib.lua.
type protocolScript struct {
	scriptHeader
	SHA1   string `json:"sha1"`
	Source string `json:"source"`
}

// protocolJSON returns the contents of docs/protocol.json.
func protocolJSON(t *testing.T) []byte {
	t.Helper()
	var file struct {
		About     string                     `json:"about"`
		Version   int                        `json:"version"`
		Constants []figure                   `json:"constants"`
		Scripts   map[string]*protocolScript `json:"scripts"`
	}
	file.About = "Made by make protocol from the scripts and constants of the project. docs/protocol.md explains it."
	file.Version, file.Constants, file.Scripts = 1, constantsOf(t), map[string]*protocolScript{}
	for name, text := range luaFiles(t) {
		h, _ := parseHeader(text)
		if h.Args == nil {
			h.Args = []position{}
		}
		file.Scripts[name] = &protocolScript{scriptHeader: h, SHA1: script(text).Hash(), Source: withLib(text)}
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(file); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// constantsPage returns the contents of docs/protocol/constants.md.
func constantsPage(t *testing.T) []byte {
	t.Helper()
	var text bytes.Buffer
	text.WriteString(`# Constants of the protocol

` + "`make protocol`" + ` writes this page and the same table in [protocol.json](../protocol.json). The
values are those of the Go code. A port may use other values for waits and pages. It needs the same
values of ` + "`lease`, `beats`, `many`, `max_crashes`" + ` and of the bounds of items and batches.

| constant | value | unit | meaning |
|---|---|---|---|
`)
	for _, f := range constantsOf(t) {
		fmt.Fprintf(&text, "| `%s` | %d | %s | %s |\n", f.Name, f.Value, f.Unit, f.Meaning)
	}
	return text.Bytes()
}

func TestProtocolFilesAreFresh(t *testing.T) {
	t.Parallel()
	for path, fresh := range map[string][]byte{"protocol.json": protocolJSON(t), "protocol/constants.md": constantsPage(t)} {
		file := filepath.Join("../../docs", path)
		if *update {
			if err := os.WriteFile(file, fresh, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		committed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, fresh) {
			t.Errorf("docs/%s is not that of the scripts and constants: run make protocol", path)
		}
	}
}

// Each script of docs/protocol.json is one that this package sends.
func TestProtocolFileHasTheScriptsThatAreSent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("script.go")
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)//go:embed lua/(\w+)\.lua\n\t(\w+) string`).FindAllStringSubmatch(string(text), -1) {
		variables[row[1]] = row[2]
	}
	for _, name := range slices.Sorted(maps.Keys(luaFiles(t))) {
		if variable := variables[name]; !strings.Contains(string(text), "script("+variable+")") || variable == "" {
			t.Errorf("script.go does not send %s.lua", name)
		}
	}
}
