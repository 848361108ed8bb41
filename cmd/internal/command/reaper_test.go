package command

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestProcessesAreKilledAfterTheDeathOfTheWorker(t *testing.T) {
	for name, command := range map[string]func(fifo) string{
		"alone":       func(f fifo) string { return "exec 9>" + f.path + "; echo up >&9; exec sleep 1000" },
		"with family": fifo.family,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFifo(t)
			worker := exec.Command(os.Args[0])
			worker.Env = append(os.Environ(), workerEnv+"="+command(f))
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
}

func TestReaperSparesRemovedGroups(t *testing.T) {
	g, err := newReaper("NO_SUCH_VARIABLE")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.watch(); err != nil {
		t.Fatal(err)
	}
	stays := exec.Command("sleep", "1000")
	stays.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := stays.Start(); err != nil {
		t.Fatal(err)
	}
	row := g.add(stays.Process.Pid)
	g.remove(g.add(1 << 30))
	g.remove(row)
	g.close()
	if err := stays.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	wantError(t, stays.Wait(), "signal: terminated")
}
