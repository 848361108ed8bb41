package command

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// leavers returns commands with a descendant that leaves their group, by its way of leaving. The
// descendant holds the fifo open.
func (f fifo) leavers() map[string]string {
	up := "exec 9>" + f.path + "; echo up >&9; sleep 1000"
	return map[string]string{
		"setsid":  "setsid -w sh -c '" + up + "'",
		"timeout": "timeout 1000 sh -c '" + up + "'",
		"daemon":  "(setsid sh -c '" + up + "' &); sleep 1000",
		"nested":  "setsid -w timeout 1000 setsid -w sh -c '(setsid sh -c \"" + up + "\" &); sleep 1000'",
	}
}

func (f fifo) each(t *testing.T, test func(t *testing.T, f fifo, command string)) {
	for name := range f.leavers() {
		t.Run(name, func(t *testing.T) {
			f := newFifo(t)
			test(t, f, f.leavers()[name])
		})
	}
}

func TestEndOfContextKillsDescendantsOutsideTheGroup(t *testing.T) {
	cause := errors.New("enough")
	fifo{}.each(t, func(t *testing.T, f fifo, command string) {
		l := launch(t)
		other := newCoproc(t, withPid) // continues
		before := answer(t, other, "x")
		failed := make(chan error)
		ctx, kill := context.WithCancelCause(t.Context())
		go func() {
			_, err := l.exec(withoutPlaceholders(command), "\n")(ctx, "x")
			failed <- err
		}()
		file := f.read(t)
		kill(cause)
		wantEOF(t, file)
		if err := <-failed; !errors.Is(err, cause) {
			t.Error(err)
		}
		if after := answer(t, other, "x"); after != before {
			t.Errorf("another command was killed: %q, then %q", before, after)
		}
	})
}

func TestCloseKillsDescendantsOutsideTheGroup(t *testing.T) {
	fifo{}.each(t, func(t *testing.T, f fifo, command string) {
		l := newLauncher()
		failed := make(chan error)
		go func() {
			_, err := l.run(t.Context(), command, "")
			failed <- err
		}()
		file := f.read(t)
		l.close()
		wantEOF(t, file)
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestDeathOfTheWorkerKillsDescendantsOutsideTheGroup(t *testing.T) {
	fifo{}.each(t, func(t *testing.T, f fifo, command string) {
		worker := exec.Command(os.Args[0])
		worker.Env = append(os.Environ(), workerEnv+"="+command)
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		file := f.read(t)
		if err := worker.Process.Kill(); err != nil {
			t.Error(err)
		}
		wantEOF(t, file)
		wantError(t, worker.Wait(), "signal: killed")
	})
}

// A background process is killed at the end of its command. One with an empty environment is killed
// by Close.
func TestBackgroundProcessesOutsideTheGroupAreKilled(t *testing.T) {
	for command, pipeBuffer := range map[string]bool{
		"(setsid sh -c 'exec 9>$0; echo up >&9; sleep 1000' FIFO >/dev/null 2>&1 </dev/null &); head -n 1 FIFO":        true,
		"(env -i setsid sh -c 'exec 9>$0; echo up >&9; sleep 1000' FIFO >/dev/null 2>&1 </dev/null &); head -n 1 FIFO": false,
	} {
		f, l := newFifo(t), newLauncher()
		lock, err := os.OpenFile(f.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := l.run(t.Context(), strings.ReplaceAll(command, "FIFO", f.path), ""); v != "up\n" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		left, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
		if pipeBuffer {
			wantEOF(t, left)
		}
		l.close()
		if _, err := io.ReadAll(left); err != nil {
			t.Error(err)
		}
		_ = left.Close()
	}
}

// An orphan shows no environment while it executes another program.
func TestOrphanThatExecutesAnotherProgramIsKilled(t *testing.T) {
	l := launch(t)
	for range 100 {
		f := newFifo(t)
		lock, err := os.OpenFile(f.path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		command := "(setsid sh -c 'exec 9>FIFO; echo up >&9; exec sleep 1000' >/dev/null 2>&1 </dev/null &); head -n 1 FIFO"
		if v, err := l.run(t.Context(), strings.ReplaceAll(command, "FIFO", f.path), ""); v != "up\n" || err != nil {
			t.Fatalf("got %q, %v", v, err)
		}
		left := f.open(t)
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
		wantEOF(t, left)
	}
}

// The subreaper waits for orphans only, never for the commands themselves.
func TestSubreaperLeavesCommandsToTheirStarter(t *testing.T) {
	l := launch(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				if v, err := l.run(t.Context(), "(setsid true &); (true &); exit 3", ""); v != "" || err == nil || err.Error() != "exit status 3" {
					t.Errorf("got %q, %v", v, err)
				}
			}
		})
	}
	group.Wait()
	l.close()
	if left := orphans().adopted(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestCommandsDoNotInheritTheAddressOfRedis(t *testing.T) {
	t.Setenv("DQBRIDGE_REDIS", "redis://:secret@host")
	t.Setenv("DQBRIDGE_OTHER", "kept")
	for _, command := range []string{"env", "env | cat"} {
		v, err := launch(t).run(t.Context(), command, "")
		if err != nil || strings.Contains(v, "secret") || !strings.Contains(v, "DQBRIDGE_OTHER=kept") {
			t.Errorf("%s: got %q, %v", command, v, err)
		}
	}
}
