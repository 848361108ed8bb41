//go:build !linux

package command

func idle(int) (is, known bool) { return false, false }
