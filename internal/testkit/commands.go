package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// MainWithCommands runs the tests of a package with dqbridge and dqworker in PATH, built from the
// module in the folder root, so that tests start them without a separate build. It is the body of a
// TestMain and does not return.
func MainWithCommands(m *testing.M, root string) {
	code, err := runWithCommands(m, root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithCommands(m *testing.M, root string) (code int, err error) {
	binaries, err := os.MkdirTemp("", "dqbridge")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(binaries)) }()
	build := exec.Command("go", "build", "-o", binaries, "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the commands: %w: %s", err, out)
	}
	if err := os.Setenv("PATH", binaries+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
