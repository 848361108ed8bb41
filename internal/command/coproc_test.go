package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func newCoproc(t *testing.T, command string) *coproc {
	t.Helper()
	return &coproc{launcher: launch(t), command: command}
}

// withPid answers with its process id and the line.
const withPid = `while IFS= read -r x; do printf '%s %s\n' $$ "$x"; done`

func answer(t *testing.T, c *coproc, item string) string {
	t.Helper()
	v, err := c.call(t.Context(), item)
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

func TestCoprocStays(t *testing.T) {
	c := newCoproc(t, withPid)
	if first, second := answer(t, c, "x"), answer(t, c, "x"); first != second {
		t.Errorf("%q, then %q", first, second)
	}
}

func TestCoprocIsStartedAgain(t *testing.T) {
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
		_, err := c.call(t.Context(), item)
		wantError(t, err, want)
		after := answer(t, c, "x")
		if after == before {
			t.Errorf("%s: still process %s", item, after)
		}
		before = after
	}
}

func TestCoprocThatDiedIdleIsNotMissed(t *testing.T) {
	c := newCoproc(t, withPid)
	first := answer(t, c, "x")
	p := c.idle[0]
	if err := syscall.Kill(p.proc.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.lines
	if second := answer(t, c, "x"); second == first {
		t.Errorf("twice %q", first)
	}
}

func TestCoprocOutOfStep(t *testing.T) {
	c := newCoproc(t, `while read x; do printf '1\n2\n'; done`)
	_, err := c.call(t.Context(), "x")
	wantError(t, err, "more lines than items")

	c = newCoproc(t, `echo banner; exec cat`)
	_, err = c.call(t.Context(), "first")
	if err == nil {
		<-c.idle[0].lines
		_, err = c.call(t.Context(), "second")
	}
	wantError(t, err, "more lines than items")
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
		_, err := c.call(ctx, "wait")
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
		_, err := c.call(ctx, strings.Repeat("x", 1<<20))
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
	const hands, items = 8, 200
	c := newCoproc(t, withPid)
	var group sync.WaitGroup
	var pids sync.Map
	for hand := range hands {
		group.Go(func() {
			for i := range items {
				item := fmt.Sprintf("item %d of hand %d", i, hand)
				v, err := c.call(t.Context(), item)
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
	if processes > hands || processes != len(c.idle) {
		t.Errorf("%d processes, %d idle, for %d hands", processes, len(c.idle), hands)
	}
}

func BenchmarkCoproc(b *testing.B) {
	l := newLauncher()
	defer l.close()
	c := &coproc{launcher: l, command: "cat"}
	for b.Loop() {
		if _, err := c.call(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	l := newLauncher()
	defer l.close()
	call := l.exec(noPlaces("cat"), "\n")
	for b.Loop() {
		if _, err := call(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}
