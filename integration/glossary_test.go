package integration

import (
	"go/ast"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// retired maps words that names of the code used to have to their glossary words.
var retired = map[string]string{
	"crew": "partitions", "hand": "slot", "hands": "slots", "hub": "mailbox", "intake": "fetcher", "labour": "roles", "outlet": "sink",
	"rota": "scheduler", "spell": "time slice", "zipper": "pairer",
}

var glossaryRow = regexp.MustCompile(`(?m)^\| ([a-z][a-z ]*) \| .+ \|$`)

// glossary returns the words of the glossary in the architecture page.
func glossary(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Glossary\n")
	table, _, _ = strings.Cut(table, "\n## ")
	words := map[string]bool{}
	var order []string
	for _, row := range glossaryRow.FindAllStringSubmatch(table, -1) {
		if row[1] == "word" { // the head of the table
			continue
		}
		if words[row[1]] {
			t.Errorf("the glossary explains %q twice", row[1])
		}
		words[row[1]] = true
		order = append(order, row[1])
	}
	if len(words) < 40 || !slices.IsSorted(order) {
		t.Errorf("the glossary has %d words, sorted: %v", len(words), slices.IsSorted(order))
	}
	return words
}

// TestGlossary checks that exported names and file names consist of glossary words and ordinary
// words. A new word must be added to one of the two.
func TestGlossary(t *testing.T) {
	t.Parallel()
	known := glossary(t)
	for word := range maps.Keys(known) {
		for _, part := range strings.Fields(word) {
			known[part] = true
		}
	}
	for _, word := range strings.Fields(ordinary) {
		known[word] = true
	}
	used := map[string]bool{}
	check := func(where, name string) {
		for _, word := range wordsOf(name) {
			if len(word) == 1 { // a type parameter or a receiver
				continue
			}
			used[word] = true
			if !known[word] && !known[singular(word)] {
				t.Errorf("%s: %s: the word %q is neither in the glossary nor an ordinary one", where, name, word)
			}
			used[singular(word)] = true
		}
	}
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.path, "bench/") || strings.HasPrefix(s.path, "examples/") {
			continue
		}
		check(s.path, strings.TrimSuffix(path.Base(s.path), ".go"))
		if slices.Contains([]string{"bridge", "executor", "workers", "inspect", "metrics"}, path.Dir(s.path)) {
			for _, id := range declared(s.file) {
				if id.IsExported() {
					check(positions.Position(id.Pos()).String(), id.Name)
				}
			}
		}
	}
	for _, word := range strings.Fields(ordinary) {
		if !used[word] {
			t.Errorf("no name has the ordinary word %q", word)
		}
	}
}

// TestRetiredWordsAreGone checks that no name contains a retired word.
func TestRetiredWordsAreGone(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "bench/") { // one of its rows is a pipeline written by hand
			continue
		}
		for _, id := range declared(s.file) {
			for _, word := range wordsOf(id.Name) {
				if instead, ok := retired[word]; ok {
					t.Errorf("%v: %s: the word is %q", positions.Position(id.Pos()), id.Name, instead)
				}
			}
		}
	}
}

// declared returns the names that a file declares: types, functions, methods, fields and values.
func declared(f *ast.File) (ids []*ast.Ident) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			ids = append(ids, d.Name)
		case *ast.TypeSpec:
			ids = append(ids, d.Name)
		case *ast.Field:
			ids = append(ids, d.Names...)
		case *ast.ValueSpec:
			ids = append(ids, d.Names...)
		}
		return true
	})
	return ids
}

// wordsOf returns the words of a name in lower case: http and server for HTTPServer.
func wordsOf(name string) (words []string) {
	letters := []rune(name)
	start := 0
	end := func(at int) {
		if at > start {
			words = append(words, strings.ToLower(string(letters[start:at])))
		}
	}
	for i, r := range letters {
		switch {
		case !unicode.IsLetter(r):
			end(i)
			start = i + 1
		case i > start && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])):
			end(i)
			start = i
		}
	}
	end(len(letters))
	return words
}

// Without this test, a splitter that returns no words would pass.
func TestWordsOfNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"HTTPServer": "http server", "newPartitionSet": "new partition set", "idle_linux": "idle linux", "sha256": "sha", "TLS": "tls", "x": "x",
	} {
		if got := strings.Join(wordsOf(name), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// singular returns a word without its plural ending.
func singular(word string) string {
	switch {
	case strings.HasSuffix(word, "ies"):
		return strings.TrimSuffix(word, "ies") + "y"
	case strings.HasSuffix(word, "ches"):
		return strings.TrimSuffix(word, "es")
	}
	return strings.TrimSuffix(word, "s")
}

// ordinary lists words that have their everyday meaning in names.
const ordinary = `
abandon ack activity acts added address after ahead all answer api append args as at attempt audit auth await
away backoff banner base batchcalls batcher batchrunner began begin block bottleneck breaker broken brokertest
bucket budget buffer builtin bulk bundle busy by bytes caller cancel canceled card cause cells chain changes
channels charts check child children claims cleanup cli client clock close closed cluster code collect
collector columns command committer complete completed completer config confirm conn connect connection
console coproc cost costmodel count cpu crash crashes cut dashboard deaths define delayed delete delivered
deliveries delivery denied desc describe dialer differences differential direct doc doctor done drain draining
dropped due durable each elsewhere embedded end ended err error errorlist eta events exclude exec exists
exporter fail failed fake family feed feedback feeder fenced fetcher fetchstate few fields files filterrunner
finished first flags flatmap flatmaprunner fleet flight flush form format found from full func fused
gatherlist gathers generic glob gone graph grid group guard halt handle handler handover hashes health heap
held histogram history host http hung id if in inflight input insert inspect internal ints invalid is
itemrunner job joblog json keep keeper keys keyspace kind known large last late latency launcher layout leaks
least ledger len length lexer lifecycle limiter limits line linger linux list live liveness load location log
logger logging look looker lookups loop lost lua main man manual manualack map mark max memory merge message
meter miniredis minutes mismatch missing model moving msg msgpack multiplex muted nack name namespace nearest
new newest next no node nodes not object obligations of offline often oldest once one only open operate
operator option ordered orphans other out outcome output over overdue owner pack page pair panes past pause
paused peek peer permanent pid plant poison policy pool position probe process progress protocol proxy push
queuelist race rate raw read reader ready reaper reason receiver recent record records redis refused register
registered registry release reload remedy remote remove reorder replace replaced replicas reporter request
requeued resp retried rights round rows run runner running same scale scattered scheduler screen script sealed
second seen send sender seq series server serverinfo sets settings sha shape share shared shell signal silent
since sink sinkrunner size slice slow snapshot sourcelist spec spent split stack stagelist standby start
started state static stored stream string stuck submit submitters sum supervisor survey sys table tags talk
telemetry template terminal testkit text through timeline timeout times timeslice tls top topology total
tracing tracker trip truncated tuning type unacked unavailable unexported unknown unordered unreachable unread
unstage untagged unusable unwrap upper upstream uptime urgent url use validate value verb version viewer wait
waited waiting waits wanted wants watch watched where why with word work worklog write zset zstd
`
