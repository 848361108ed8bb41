package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

func newCoproc(t *testing.T, command string) *coproc {
	t.Helper()
	return &coproc{launcher: launch(t), command: command, log: silent}
}

// withPid is a command that answers with its process id and the line.
const withPid = `while IFS= read -r x; do printf '%s %s\n' $$ "$x"; done`

func answer(t *testing.T, c *coproc, item string) string {
	t.Helper()
	v, err := one(c)(t.Context(), item)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCoprocCommands(t *testing.T) {
	for _, command := range []string{"cat", "sed -u s/x/x/", "awk -W interactive '{print; fflush()}' 2>/dev/null"} {
		c := newCoproc(t, command)
		for _, item := range []string{"a", "", "b c", strings.Repeat("x", 1<<20)} {
			if v := answer(t, c, item); v != item {
				t.Errorf("%s: %.20q became %.20q", command, item, v)
			}
		}
		if len(c.idle) != 1 {
			t.Errorf("%s: %d processes", command, len(c.idle))
		}
	}
}

func TestCoprocProcessIsReused(t *testing.T) {
	c := newCoproc(t, withPid)
	if first, second := answer(t, c, "x"), answer(t, c, "x"); first != second {
		t.Errorf("%q, then %q", first, second)
	}
}

func TestCoprocIsRestartedAfterItsEnd(t *testing.T) {
	c := newCoproc(t, `while read x; do
		if [ "$x" = die ]; then echo last words >&2; exit 3; fi
		if [ "$x" = leave ]; then exit; fi
		if [ "$x" = half ]; then printf half; exit; fi
		echo $$
	done`)
	before := answer(t, c, "x")
	for item, want := range map[string]string{
		"die":   "coproc: no answer: exit status 3: last words",
		"leave": "coproc: no answer: exit status 0",
		"half":  "coproc: no answer: exit status 0",
	} {
		_, err := one(c)(t.Context(), item)
		wantError(t, err, want)
		after := answer(t, c, "x")
		if after == before {
			t.Errorf("%s: still process %s", item, after)
		}
		before = after
	}
}

func TestCoprocThatDiedIdleIsReplaced(t *testing.T) {
	c := newCoproc(t, withPid)
	first := answer(t, c, "x")
	p := c.idle[0]
	if err := syscall.Kill(p.proc.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if second := answer(t, c, "x"); second == first {
		t.Errorf("twice %q", first)
	}
}

func TestCoprocWithExtraLinesFailsAllItems(t *testing.T) {
	items := []string{"1", "2", "3", "4", "5"}
	for _, command := range []string{
		`while read x; do printf '1\n2\n'; done`,
		`echo banner; exec cat`,
		`sleep 0.05; echo banner; exec cat`,
		`while read x; do echo $x; [ $x = 3 ] && sleep 0.02 && echo stray; done`,
		`while read x; do echo $x; [ $x = 5 ] && echo stray; done`,
		`while read x; do echo $x; [ $x = 5 ] && sleep 0.02 && echo stray; done`,
		`while read x; do echo $x; (sleep 0.003; echo $x again); done`,
	} {
		c := newCoproc(t, command)
		values, err := c.call(t.Context(), items)
		for err == nil && slices.Equal(values, items) { // on a busy machine the extra line may come late: a later call fails
			values, err = c.call(t.Context(), items)
		}
		wantError(t, err, "more lines than items")
		if values != nil || len(c.idle) != 0 {
			t.Errorf("%s: got %q, %d processes", command, values, len(c.idle))
		}
	}
}

// A line that an idle process writes fails the next call.
func TestCoprocThatWritesWhileIdleFailsTheNextCall(t *testing.T) {
	f := newFifo(t)
	c := newCoproc(t, `read x; echo $x; read go <`+f.path+`; echo stray; cat`)
	answer(t, c, "x")
	gate, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = gate.WriteString("go\n")
	_ = gate.Close()
	<-c.idle[0].exited
	_, err = one(c)(t.Context(), "y")
	wantError(t, err, "more lines than items")
}

func TestCoprocWithIDs(t *testing.T) {
	items := make([]string, 1000)
	for i := range items {
		items[i] = fmt.Sprintf("item %d", i%100)
	}
	for _, command := range []string{
		"cat",
		"echo banner; echo 7; cat",
		`while read -r line; do echo stray; echo "$line"; echo 1000000000 stray; done`,
		`while read -r first && read -r second; do echo "$second"; echo "$first"; done`,
	} {
		c := newCoproc(t, command)
		c.withIDs = true
		for range 2 {
			if values, err := c.call(t.Context(), items); !slices.Equal(values, items) || err != nil {
				t.Errorf("%s: %d values, %v", command, len(values), err)
			}
		}
	}
	c := newCoproc(t, `read id x; echo $id $x; read id x; echo sorry >&2; exit 3`)
	c.withIDs = true
	values, err := c.call(t.Context(), []string{"a", "b", "c", "d\n"})
	var bad workers.Errors
	if !errors.As(err, &bad) || values[0] != "a" || values[2] != "c" || len(bad) != 2 {
		t.Fatalf("got %q, %v", values, err)
	}
	wantError(t, bad[1], "exit status 3: sorry")
	wantError(t, bad[3], "contains a newline")
}

// The answers before the death of the process count. Another process gets the items after the one
// that killed it.
func TestCoprocThatDiesFailsOneItem(t *testing.T) {
	c := newCoproc(t, `while read x; do [ $x = 3 ] && exit 7; echo $x; done`)
	items := []string{"1", "2", "3", "4", "3", "5"}
	values, err := c.call(t.Context(), items)
	var bad workers.Errors
	if !errors.As(err, &bad) || !slices.Equal(values, []string{"1", "2", "", "4", "", "5"}) || len(bad) != 2 {
		t.Fatalf("got %q, %v", values, err)
	}
	wantError(t, bad[2], "exit status 7")
	wantError(t, bad[4], "exit status 7")
}

func TestCoprocThatBuffersIsReported(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var log strings.Builder
	c := newCoproc(t, "sed s/x/y/")
	c.log = slog.New(slog.NewTextHandler(&log, nil))
	failed := make(chan error)
	go func() {
		_, err := one(c)(ctx, "x")
		failed <- err
	}()
	time.AfterFunc(slowAnswer+time.Second, func() { cancel(context.DeadlineExceeded) })
	wantError(t, <-failed, "deadline exceeded", "sed -u")
	if !strings.Contains(log.String(), "stdbuf -oL") {
		t.Errorf("logged %q", log.String())
	}
}

func TestCoprocIsNotReusedAfterItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCoproc(t, `while read x; do [ "$x" = wait ] && read y <`+path+`; echo $$; done`)
	before := answer(t, c, "x")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := one(c)(ctx, "wait")
		failed <- err
	}()
	gate, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, _ = gate.WriteString("go\n")
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := gate.Close(); err != nil {
		t.Error(err)
	}
	if after := answer(t, c, "x"); after == before {
		t.Error("the process was used again")
	}
}

func TestCoprocThatDoesNotRead(t *testing.T) {
	f := newFifo(t)
	c := newCoproc(t, "exec 9>"+f.path+"; echo up >&9; sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := one(c)(ctx, strings.Repeat("x", 1<<20))
		failed <- err
	}()
	file := f.read(t)
	cancel()
	wantEOF(t, file)
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCoprocThatAnswersBeforeItHasReadAll(t *testing.T) {
	c := newCoproc(t, "dd bs=1 count=1 of=/dev/null 2>/dev/null; exec <&-; echo early; sleep 1000")
	for range 2 {
		if v := answer(t, c, strings.Repeat("x", 1<<20)); v != "early" {
			t.Errorf("got %q", v)
		}
	}
}

func TestCoprocIsCalledConcurrently(t *testing.T) {
	const slots, items = 8, 200
	c := newCoproc(t, withPid)
	var group sync.WaitGroup
	var pids sync.Map
	for slot := range slots {
		group.Go(func() {
			for i := range items {
				item := fmt.Sprintf("item %d of slot %d", i, slot)
				v, err := one(c)(t.Context(), item)
				pid, line, _ := strings.Cut(v, " ")
				if line != item || err != nil {
					t.Errorf("%q became %q, %v", item, v, err)
				}
				pids.Store(pid, true)
			}
		})
	}
	group.Wait()
	processes := 0
	pids.Range(func(any, any) bool { processes++; return true })
	if processes > slots || processes != len(c.idle) {
		t.Errorf("%d processes, %d idle, for %d slots", processes, len(c.idle), slots)
	}
}

func BenchmarkCoproc(b *testing.B) {
	l := newLauncher()
	defer l.close()
	c := &coproc{launcher: l, command: "cat", log: silent}
	for b.Loop() {
		if _, err := one(c)(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	l := newLauncher()
	defer l.close()
	call := l.exec(withoutPlaceholders("cat"), "\n")
	for b.Loop() {
		if _, err := call(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}

// A Set with other commands shares equal ones with their processes. The processes of the others end,
// one that runs after its call.
func TestRetiredCommandsEndTheirProcesses(t *testing.T) {
	s, err := New([]string{"same=coproc:" + withPid, "old=coproc:" + withPid, "gone=exec:cat"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next, err := s.With([]string{"old=coproc:cat", "same=coproc:" + withPid})
	if err != nil {
		t.Fatal(err)
	}
	if names := next.Functions(); len(names) != 2 || names[0].Name() != "old" || next.defined[1].coproc != s.defined[0].coproc {
		t.Errorf("the functions are %v", names)
	}
	same, old := s.defined[0].coproc, s.defined[1].coproc
	before := answer(t, same, "x")
	answer(t, old, "x")
	idle := old.idle[0]
	busy, err := old.startPeer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Retire(next)
	<-idle.exited
	if old.keep(busy) {
		t.Error("a process stays after its call")
	}
	busy.end(errRetired)
	if after := answer(t, same, "x"); after != before {
		t.Errorf("a shared command has another process: %q, then %q", before, after)
	}
	if got := answer(t, next.defined[0].coproc, "y"); got != "y" {
		t.Errorf("the new command answers %q", got)
	}
	if _, err := s.With([]string{"a=exec:cat", "a=pipe:cat"}); err == nil {
		t.Error("a repeated name is accepted")
	}
}
