package integration

import (
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A worker that starts before Redis waits for it and logs one line about that. Afterwards it logs
// its start.
func TestWorkerWaitsForRedis(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	server.Shutdown()
	told := file(t)
	cmd := exec.Command("dqworker", "--redis", server.URL()+"/?ns="+testkit.Namespace(t), "-j3", "--fn", "up=pipe:tr a-z A-Z")
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS=")
	cmd.Stderr = told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := func() string {
		text, err := os.ReadFile(told.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	matches := func(pattern string) func() bool {
		return func() bool { return regexp.MustCompile(pattern).MatchString(text()) }
	}
	testkit.Eventually(t, matches("waiting until Redis answers"), "it says that it waits")
	server.Restart()
	testkit.Eventually(t, matches("(?m)^dqworker: redis://"+server.Addr()+"/?, concurrency 3, functions up inc "), "it says what it does")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, text())
	}
	if regexp.MustCompile("(?s)waiting.*waiting").MatchString(text()) {
		t.Error(text())
	}
}
