//go:build !race

package batch

func spoil([]byte) {}
