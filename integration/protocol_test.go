package integration

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var fenced = regexp.MustCompile("(?ms)^```([^\n]+)\n(.*?)^```$")

// example returns the only fenced block of that name.
func example(t *testing.T, name string) string {
	t.Helper()
	var found []string
	for _, block := range fenced.FindAllStringSubmatch(protocol(t), -1) {
		if block[1] == name {
			found = append(found, block[2])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d examples are called %q", len(found), name)
	}
	return strings.TrimSpace(found[0])
}

// column returns the code in the first column of the table whose head begins with head.
func column(t *testing.T, head string) (names []string) {
	t.Helper()
	_, table, found := strings.Cut(protocol(t), "\n| "+head+" |")
	if !found {
		t.Fatalf("no table begins with %q", head)
	}
	for i, line := range strings.Split(table, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, name := range code.FindAllStringSubmatch(first, -1) {
			names = append(names, name[1])
		}
		if i > 0 && !code.MatchString(first) {
			t.Errorf("a row without a name: %s", line)
		}
	}
	return names
}

var code = regexp.MustCompile("`([^`]+)`")

// same compares the list of a table with the existing names.
func same(t *testing.T, what string, listed, there []string) {
	t.Helper()
	for _, name := range listed {
		if !slices.Contains(there, name) {
			t.Errorf("%s: %s is documented and not there", what, name)
		}
	}
	for _, name := range there {
		if !slices.Contains(listed, name) {
			t.Errorf("%s: %s is there and not documented", what, name)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(listed)))) != len(listed) {
		t.Errorf("%s: one is listed twice: %q", what, listed)
	}
}

func TestProtocolFrame(t *testing.T) {
	t.Parallel()
	frame, err := hex.DecodeString(strings.Join(strings.Fields(example(t, "hex")), ""))
	if err != nil {
		t.Fatal(err)
	}
	b := batch.Batch{Source: "s", N: 4, Frame: frame}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	var got []string
	r := batch.Read(frame)
	for item, failed, ok := r.Next(); ok; item, failed, ok = r.Next() {
		if failed && batch.ParseFailure(item) != (batch.Failure{Code: batch.CodeError, Message: "boom"}) {
			t.Errorf("the failure is %s", item)
		}
		got = append(got, fmt.Sprintf("%s %v", item, failed))
	}
	if want := []string{"1 false", "22 false", `{"code":"error","msg":"boom"} true`, " false"}; !slices.Equal(got, want) {
		t.Errorf("the items are %q", got)
	}
	var again batch.Builder
	again.Value([]byte("1"))
	again.Value([]byte("22"))
	again.Failure(batch.Failure{Code: batch.CodeError, Message: "boom"})
	again.Value(nil)
	if !bytes.Equal(again.Take(), frame) {
		t.Errorf("the code frames the items in another way: %x", again.Frame())
	}
}

func TestProtocolCounts(t *testing.T) {
	t.Parallel()
	frame, err := hex.DecodeString(strings.Join(strings.Fields(example(t, "hex counts")), ""))
	if err != nil {
		t.Fatal(err)
	}
	b := batch.Batch{Source: "s", N: 4, Frame: frame}
	positions, err := b.AppendPositions(nil)
	if err := errors.Join(err, b.Check()); err != nil || !slices.Equal(positions, []int32{0, 2}) {
		t.Fatalf("the items are at %v, %v", positions, err)
	}
	var items batch.Builder
	items.Value([]byte("1"))
	items.Value([]byte("22"))
	if again := batch.AppendCounts(items.Take(), positions, 0, 4); !bytes.Equal(again, frame) {
		t.Errorf("the code frames the items in another way: %x", again)
	}
}

func TestProtocolZstd(t *testing.T) {
	t.Parallel()
	typed, err := codec.For[string](codec.Zstd(codec.Raw, 0))
	if err != nil || typed.Info().Codec != "zstd+raw" {
		t.Fatal(typed.Info(), err)
	}
	want := []string{"7", strings.Repeat("a", 1000)}
	for i, line := range strings.Split(example(t, "hex zstd"), "\n") {
		item, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := typed.One(item); err != nil || got != want[i] {
			t.Errorf("item %d is %q, %v", i, got, err)
		}
	}
}

// strict decodes JSON and refuses fields that the type does not have.
func strict(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// complete fails if an example leaves a field of the type empty.
func complete(t *testing.T, example string, value any, but ...string) {
	t.Helper()
	again, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if compact := strings.ReplaceAll(example, "\n", ""); compact != string(again) {
		t.Errorf("the code writes %s", again)
	}
	var fields map[string]any
	strict(t, string(again), &fields)
	for name, field := range fields {
		if (field == nil || field == "" || field == 0.0) && !slices.Contains(but, name) {
			t.Errorf("the example leaves out %s", name)
		}
	}
}

func TestProtocolJSON(t *testing.T) {
	t.Parallel()
	var f batch.Failure
	strict(t, example(t, "json failure"), &f)
	complete(t, example(t, "json failure"), f)
	if batch.ParseFailure([]byte(example(t, "json failure"))) != f || f.Code != batch.CodePanic || f.Attempts != 2 {
		t.Errorf("the failure is %+v", f)
	}
	same(t, "codes of failures", column(t, "code"), []string{batch.CodeError, batch.CodePanic, batch.CodeTimeout, batch.CodeDecode, batch.CodeRejected,
		batch.CodeEncode, batch.CodeTooLarge, batch.CodeCanceled, batch.CodeCrashed, batch.CodeLost, batch.CodeCut, batch.CodeAway, batch.CodeDropped})
	var s broker.Stage
	strict(t, example(t, "json stage"), &s)
	complete(t, example(t, "json stage"), s)
	if s.V != 1 || s.Kind != broker.KindMap || s.Ins[0].Name != "numbers" || s.Outs[0].Max != 1000 || s.Timeout != 2*time.Second {
		t.Errorf("the stage is %+v", s)
	}
	s.TTL, s.Reply = time.Second, "x"
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	strict(t, string(text), &fields)
	_, stages, _ := strings.Cut(protocol(t), "\n## Stages")
	_, table, _ := strings.Cut(stages, "| field |")
	table, _, _ = strings.Cut(table, "\n\n")
	for name := range fields {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("the field %s of a stage is not documented", name)
		}
	}
	var functions []broker.FunctionCard
	strict(t, example(t, "json functions"), &functions)
	complete(t, strings.Trim(example(t, "json functions"), "[]"), functions[0])
}

var builds = regexp.MustCompile(`(?m)^func \(k keys\) (\w+)\((\w*) ?\w*(?:, \w+ string)?\) +string +\{\s+return k\.prefix \+ (.+?)(?: \}|\n\})`)

func TestProtocolKeys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "internal/broker/keys.go"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	found := builds.FindAllStringSubmatch(string(text), -1)
	if want := strings.Count(string(text), "k.prefix +"); len(found) != want || want < 15 {
		t.Fatalf("%d of %d keys are understood: %q", len(found), want, found)
	}
	for _, key := range found {
		literal, _ := strconv.Unquote(strings.Trim(strings.Split(key[3], "+")[0], " "))
		argument := key[2]
		if key[1] == "source" {
			argument = "source"
		}
		switch {
		case key[1] == "registry":
			there = append(there, string(broker.RoleWorker)+"s", string(broker.RoleExecutor)+"s")
		case key[1] == "card":
			there = append(there, string(broker.RoleWorker[0])+":<id>", string(broker.RoleExecutor[0])+":<id>")
		case argument == "":
			there = append(there, literal)
		default:
			there = append(there, literal+"<"+argument+">")
		}
	}
	same(t, "keys", column(t, "key"), append(there, "ready:<signature>")) // only scripts have it
}

func TestProtocolScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "internal/broker/lua/*.lua"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	same(t, "scripts", column(t, "script"), files)
	same(t, "hints", column(t, "kind"), []string{broker.HintStages, broker.HintRoom, broker.HintSource, broker.HintEnd,
		broker.HintGone, broker.HintFree, broker.HintDone, broker.HintCancel, broker.HintStop, broker.HintAbandon, broker.HintDrain, broker.HintWork, broker.HintSuccess, broker.HintVersion, broker.HintReady})
}

// Each key in the header of a script is a row of the table of keys.
func TestProtocolKeysOfScripts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/protocol.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Scripts map[string]struct {
			Keys []struct {
				Form string `json:"form"`
			} `json:"keys"`
		} `json:"scripts"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, key := range column(t, "key") {
		stem, _, _ := strings.Cut(key, "<")
		known[stem] = true
	}
	for name, s := range file.Scripts {
		for _, key := range s.Keys {
			for _, pattern := range strings.FieldsFunc(key.Form, func(r rune) bool { return strings.ContainsRune("|{},*", r) }) {
				if stem, _, _ := strings.Cut(strings.TrimSpace(pattern), "<"); stem != "" && !known[stem] {
					t.Errorf("%s.lua: the key %q is not in the table", name, pattern)
				}
			}
		}
	}
	if len(file.Scripts) < 40 {
		t.Errorf("%d scripts are in docs/protocol.json", len(file.Scripts))
	}
}

var (
	scriptName = regexp.MustCompile("`(\\w+\\.lua)`")
	pageLink   = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$|<a id="([^"]+)">`)
)

// anchors are the anchors of a page, as GitHub makes them of headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{"": true}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, h[1]+h[2])
		found["#"+name] = true
	}
	return found
}

// The pages of the protocol name scripts that exist, and link to what is there.
func TestProtocolPagesFit(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs/protocol/*.md"))
	if err != nil || len(pages) < 3 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, filepath.Join(root, "docs/protocol.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range scriptName.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, "internal/broker/lua", name[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, link := range pageLink.FindAllStringSubmatch(string(text), -1) {
			to, linked := filepath.Join(filepath.Dir(page), link[1]), text
			if link[1] == "" {
				to = page
			} else if linked, err = os.ReadFile(to); err != nil && filepath.Ext(to) == ".md" {
				t.Errorf("%s: %v", page, err)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if !anchors(string(linked))[link[2]] {
				t.Errorf("%s: %s has no %s", page, to, link[2])
			}
		}
	}
}
