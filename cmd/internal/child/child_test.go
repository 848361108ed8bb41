package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// childEnv is a variable with the path of a file. The test binary then is a child, which appends a
// line to the file when it starts.
const childEnv = "CHILD_TEST"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		begun(path)
		serve(os.Stdin, os.Stdout)
		return
	}
	goleak.VerifyTestMain(m)
}

func begun(path string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		panic(err)
	}
}

// serve is a child with one function. Some items are instructions, such as die.
func serve(in io.Reader, out io.Writer) {
	fmt.Fprintln(os.Stderr, "ready")
	fmt.Fprintln(out, `{"v":1,"functions":[{"name":"upper","in":"string","in_codec":"raw","out":"string","out_codec":"raw","max":100}]}`)
	for r := bufio.NewReader(in); ; {
		var call request
		if readLine(r, &call) != nil {
			return
		}
		frame := make([]byte, call.Bytes)
		if _, err := io.ReadFull(r, frame); err != nil {
			return
		}
		var results batch.Builder
		items := batch.Read(frame)
		for item, _, ok := items.Next(); ok; item, _, ok = items.Next() {
			switch string(item) {
			case "die":
				os.Exit(7)
			case "shut":
				_ = os.Stdout.Close()
				select {}
			case "hang":
				select {}
			case "print":
				fmt.Fprintln(out, "a banner")
			case "fail":
				results.EndFailure(append(results.Begin(), `{"message":"not this one","permanent":true}`...))
				continue
			}
			results.Value(bytes.ToUpper(item))
		}
		n, made := results.Len(), results.Take()
		head, _ := json.Marshal(reply{Call: call.Call, Items: n, Bytes: len(made)})
		_, _ = out.Write(append(append(head, '\n'), made...))
	}
}

// A testSet is a Set with a count of its children and with their log.
type testSet struct {
	*Set
	path string
	log  *syncBuffer
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func newTestSet(t *testing.T) testSet {
	t.Helper()
	commands, err := command.New(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(commands.Close)
	f := testSet{path: filepath.Join(t.TempDir(), "begun"), log: new(syncBuffer)}
	if f.Set, err = Open(t.Context(), commands, childEnv+"="+f.path+" exec "+os.Args[0], f.log); err != nil {
		t.Fatal(err)
	}
	return f
}

// begun returns the number of children that were started.
func (f testSet) begun(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func (f testSet) upper(ctx context.Context, items ...string) (results []string, err error) {
	var given []codec.Item
	for _, item := range items {
		given = append(given, codec.Item(item))
	}
	made, err := f.call(ctx, "upper", given)
	for _, item := range made {
		results = append(results, string(item))
	}
	return results, err
}

func TestChildIsReused(t *testing.T) {
	f := newTestSet(t)
	for range 3 {
		if got, err := f.upper(t.Context(), "a", "", "ü"); err != nil || !slices.Equal(got, []string{"A", "", "Ü"}) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if n := f.begun(t); n != 1 {
		t.Errorf("%d children", n)
	}
	if functions := f.Functions(); len(functions) != 1 || functions[0].Name() != "upper" || functions[0].Err() != nil {
		t.Errorf("%v", functions)
	}
	f.commands.Close()
	if !strings.Contains(f.log.text.String(), "child 1: ready\n") {
		t.Errorf("stderr: %q", f.log.text.String())
	}
}

func TestFailedItemHasItsError(t *testing.T) {
	got, err := newTestSet(t).upper(t.Context(), "a", "fail", "b")
	some, _ := errors.AsType[workers.Errors](err)
	if len(some) != 1 || some[1].Error() != "not this one" || got[0] != "A" || got[2] != "B" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Only the item that kills its child fails, after two attempts alone.
func TestDeadChildFailsOnlyItsItem(t *testing.T) {
	f := newTestSet(t)
	got, err := f.upper(t.Context(), "a", "die", "b")
	some, _ := errors.AsType[workers.Errors](err)
	if len(some) != 1 || !errors.Is(some[1], errDead) || !strings.Contains(some[1].Error(), "exit status 7") || got[0] != "A" || got[2] != "B" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := f.begun(t); n != 4 { // the first one, one for a and die, one for die again, one for b
		t.Errorf("%d children", n)
	}
}

// A child that closes its stdout cannot answer, so it is killed.
func TestChildThatClosesItsStdoutIsKilled(t *testing.T) {
	f := newTestSet(t)
	got, err := f.upper(t.Context(), "a", "shut", "b")
	some, _ := errors.AsType[workers.Errors](err)
	if len(some) != 1 || !errors.Is(some[1], errDead) || !strings.Contains(some[1].Error(), "closed its stdout") || got[0] != "A" || got[2] != "B" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEndOfContextKillsTheChild(t *testing.T) {
	f := newTestSet(t)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := f.upper(ctx, "a", "hang")
		failed <- err
	}()
	cancel(enough)
	if err := <-failed; !errors.Is(err, enough) {
		t.Error(err)
	}
	if got, err := f.upper(t.Context(), "b"); err != nil || got[0] != "B" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOutputOfAChildIsInTheError(t *testing.T) {
	f := newTestSet(t)
	if _, err := f.upper(t.Context(), "a", "print"); !errors.Is(err, errProtocol) || !strings.Contains(err.Error(), "a banner") {
		t.Error(err)
	}
	if got, err := f.upper(t.Context(), "b"); err != nil || got[0] != "B" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenFailsForOtherPrograms(t *testing.T) {
	commands, err := command.New(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer commands.Close()
	for line, want := range map[string]string{
		"echo hi":                          "hi",
		"no-such-program":                  "127",
		`echo '{"v":2,"functions":[]}'`:    "version 2",
		`echo '{"v":1}'; cat`:              "0 functions",
		"echo last words >&2; exit 3":      "exit status 3: last words",
		`printf '{"v":1,"functions":[{"n'`: "exit status 0",
	} {
		if _, err := Open(t.Context(), commands, line, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
