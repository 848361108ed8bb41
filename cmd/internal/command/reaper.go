package command

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// mourn waits until the worker is gone, whatever killed it: then its end of the pipe is closed. It kills the groups in
// the table, and afterwards all processes with the mark of the worker in their environment, which finds those that have left
// their group.
const mourn = `trap '' HUP INT QUIT TERM
read -r nothing
while read -r group; do
	[ "$group" -gt 0 ] && kill -s KILL -- "-$group"
done <&3
for round in 1 2 3 4 5 6 7 8 9; do
	found=$(grep -lsz "^$0=" /proc/[0-9]*/environ)
	[ "$found" ] || exit 0
	for file in $found; do
		process=${file#/proc/}
		kill -s KILL "${process%/environ}"
	done
done`

// A guardian is a shell that outlives the worker by a moment, and kills what it left: nothing else would. It reads
// from a table which groups there are, which costs it nothing while the worker lives.
type guardian struct {
	mark  string
	table *os.File // a line for each seat: a group, or 0
	seats slots
	shell *exec.Cmd
	pipe  *os.File
	ended chan struct{} // closed when the shell is gone
}

// newGuardian returns a guardian of the processes with a variable in their environment. It watches after watch.
func newGuardian(mark string) (*guardian, error) {
	table, err := newTable()
	if err != nil {
		return nil, fmt.Errorf("a table of processes: %w", err)
	}
	return &guardian{mark: mark, table: table}, nil
}

// watch starts the shell, unless it runs.
func (g *guardian) watch() error {
	if g.shell != nil {
		select {
		case <-g.ended: // somebody has killed it
			_ = g.pipe.Close()
			g.shell = nil
		default:
			return nil
		}
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	shell := exec.Command("sh", "-c", mourn, g.mark)
	shell.Dir, shell.Stdin, shell.ExtraFiles = "/", theirs, []*os.File{g.table}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = orphans().started(func() (*os.Process, error) {
		err := shell.Start()
		return shell.Process, err
	})
	if err != nil {
		_ = ours.Close()
		return err
	}
	g.shell, g.pipe, g.ended = shell, ours, make(chan struct{})
	go func() {
		defer close(g.ended)
		_ = shell.Wait()
		orphans().reaped(shell.Process)
	}()
	return nil
}

// seat is the length of a line of the table.
const seatLength = 12

// begin notes a group, and returns its seat.
func (g *guardian) begin(group int) (seat int) {
	seat = g.seats.take()
	g.write(seat, group)
	return seat
}

// end notes that the group of a seat is gone.
func (g *guardian) end(seat int) {
	g.write(seat, 0)
	g.seats.release(seat)
}

// write has no error: the table is in memory.
func (g *guardian) write(seat, group int) {
	_, _ = g.table.WriteAt(fmt.Appendf(nil, "%-*d\n", seatLength-1, group), int64(seat-1)*seatLength)
}

// close waits for the shell.
func (g *guardian) close() {
	if g.shell != nil {
		_ = g.pipe.Close()
		<-g.ended
	}
	_ = g.table.Close()
}
