//go:build !linux

package command

import "syscall"

// attributes are those of every process: it leads a group.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
