package command

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// reapScript waits until the pipe to the worker is closed, which happens at the death of the
// worker. It kills the groups in the table, and then all processes with the marker of the worker in
// their environment, which includes those that have left their group.
const reapScript = `trap '' HUP INT QUIT TERM
read -r line
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

// A reaper is a shell that outlives the worker and kills the processes that the worker leaves
// behind. After the death of the worker it reads their groups from a table, a file that both have
// open.
type reaper struct {
	marker string
	table  *os.File // a line for each row: a group, or 0
	rows   slots
	shell  *exec.Cmd
	pipe   *os.File
	ended  chan struct{} // closed after the end of the shell
}

// newReaper returns a reaper of the processes with the variable marker in their environment. The
// caller calls watch before the start of a process.
func newReaper(marker string) (*reaper, error) {
	table, err := newTable()
	if err != nil {
		return nil, fmt.Errorf("create the table of processes: %w", err)
	}
	return &reaper{marker: marker, table: table}, nil
}

// watch starts the shell if it does not run.
func (r *reaper) watch() error {
	if r.shell != nil {
		select {
		case <-r.ended: // it was killed
			_ = r.pipe.Close()
			r.shell = nil
		default:
			return nil
		}
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	shell := exec.Command("sh", "-c", reapScript, r.marker)
	shell.Dir, shell.Stdin, shell.ExtraFiles = "/", theirs, []*os.File{r.table}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = orphans().startChild(func() (*os.Process, error) {
		err := shell.Start()
		return shell.Process, err
	})
	if err != nil {
		_ = ours.Close()
		return err
	}
	r.shell, r.pipe, r.ended = shell, ours, make(chan struct{})
	go func() {
		defer close(r.ended)
		_ = shell.Wait()
		orphans().forgetChild(shell.Process)
	}()
	return nil
}

// rowLength is the length of a line of the table.
const rowLength = 12

// add writes a group into the table and returns its row.
func (r *reaper) add(group int) (row int) {
	row = r.rows.take()
	r.write(row, group)
	return row
}

// remove removes the group of a row.
func (r *reaper) remove(row int) {
	r.write(row, 0)
	r.rows.release(row)
}

// write ignores errors: the file has no reader while the worker lives.
func (r *reaper) write(row, group int) {
	_, _ = r.table.WriteAt(fmt.Appendf(nil, "%-*d\n", rowLength-1, group), int64(row-1)*rowLength)
}

// close ends the shell and waits for it.
func (r *reaper) close() {
	if r.shell != nil {
		_ = r.pipe.Close()
		<-r.ended
	}
	_ = r.table.Close()
}
