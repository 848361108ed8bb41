package integration

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// --resume continues a killed run: each line is in the two outputs together, and a line that the
// joblog records does not run again.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	const n = 3000
	for name, what := range map[string][]string{"command": {"--", "echo"}, "function": {"wait", "--fn", "wait=exec:echo {}"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, log := shell{t, ""}, filepath.Join(t.TempDir(), "log")
			args := append([]string{"run", "-j4", "--joblog", log}, what...)
			first, second := file(t), file(t)
			cmd, _ := s.start("", first, bytes.NewReader(lines(n)), args...)
			testkit.Eventually(t, func() bool { return len(written(t, first)) > 50 }, "some lines are written")
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			s.end(cmd)
			args = append([]string{"run", "--resume"}, args[1:]...)
			cmd, told := s.start("", second, bytes.NewReader(lines(n)), args...)
			if status := s.end(cmd); status != 0 {
				t.Errorf("exit status %d: %s", status, told)
			}
			before, after := written(t, first), written(t, second)
			if all := slices.Concat(before, after); len(before) == n || !slices.Equal(slices.Compact(slices.Sorted(slices.Values(all))), count(1, n)) {
				t.Errorf("%d lines before and %d after are not %d", len(before), len(after), n)
			}
			if twice := len(before) + len(after) - n; twice > n/4 {
				t.Errorf("%d lines come twice", twice)
			}
		})
	}
}
