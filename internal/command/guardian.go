package command

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// mourn reads which groups begin and end. When the worker is gone, whatever
// killed it, its end of the pipe is closed, and mourn kills the groups that have
// not ended.
const mourn = `trap '' HUP INT QUIT TERM
groups=' '
while read -r what group; do
	case $what in
	begin) groups="$groups$group " ;;
	end) groups=${groups%%" $group "*}" "${groups#*" $group "} ;;
	esac
done
for group in $groups; do
	kill -s KILL -- "-$group"
done`

// A guardian is a shell that outlives the worker by a moment, and kills what it
// left: the death signal of the kernel reaches the process that the worker
// started, but not what that one has started.
type guardian struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func newGuardian() (*guardian, error) {
	g := &guardian{cmd: exec.Command("sh", "-c", mourn)}
	g.cmd.Dir = "/"
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if g.pipe, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		_ = g.pipe.Close()
		return nil, err
	}
	return g, nil
}

// begin tells of a group, and returns how to tell of its end. Where nobody
// listens any more, there is nothing to do about it.
func (g *guardian) begin(group int) (end func()) {
	_, _ = fmt.Fprintf(g.pipe, "begin %d\n", group)
	return func() { _, _ = fmt.Fprintf(g.pipe, "end %d\n", group) }
}

// close waits for the shell.
func (g *guardian) close() {
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
