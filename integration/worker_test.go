package integration

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
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

// background starts a program whose stderr goes to a file, and returns it with a function that reads
// the file.
func background(t *testing.T, args ...string) (cmd *exec.Cmd, stderr func() string) {
	t.Helper()
	told := file(t)
	cmd = exec.Command(args[0], args[1:]...)
	cmd.Stderr = told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait() // killed, or waited for before
	})
	return cmd, func() string {
		text, err := os.ReadFile(told.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
}

// served returns the address of the HTTP server that stderr names.
func served(t *testing.T, stderr func() string) (url string) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		url = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).FindString(stderr())
		return url != ""
	}, "stderr has the address")
	return url
}

// answered returns the status and the text of an answer, 0 if there is none.
func answered(url string) (status int, text string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// A worker is ready while it takes items: not before Redis answers, nor while it is away, nor while
// the worker drains. Its server answers until the end.
func TestWorkerServesItsHealth(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	server.Shutdown()
	url := server.URL() + "/?ns=" + testkit.Namespace(t)
	cmd, stderr := background(t, "dqworker", "--redis", url, "--http", "0", "--lease", "2s", "--log-format", "json", "--log-level", "info", "--fn", "hang=exec: sleep 30")
	at := served(t, stderr)
	becomes := func(status int, text string) {
		t.Helper()
		testkit.Eventually(t, func() bool {
			got, body := answered(at + "/readyz")
			return got == status && strings.Contains(body, text)
		}, "readyz answers "+text)
	}
	becomes(http.StatusServiceUnavailable, "has not joined")
	server.Restart()
	becomes(http.StatusOK, "ready")
	if out, err := exec.Command("dqbridge", "health", at+"/readyz").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	server.Stop()
	becomes(http.StatusServiceUnavailable, "redis has not answered for")
	if out, err := exec.Command("dqbridge", "health", at+"/readyz").CombinedOutput(); err == nil || !strings.Contains(string(out), "redis has not answered for") {
		t.Errorf("%v: %s", err, out)
	}
	if status, _ := answered(at + "/healthz"); status != http.StatusOK {
		t.Errorf("healthz answers %d", status)
	}
	server.Cont()
	becomes(http.StatusOK, "ready")

	run := exec.Command("dqbridge", "run", "--redis", url, "hang")
	run.Stdin = strings.NewReader("1\n")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		_, text := answered(at + "/metrics")
		return strings.Contains(text, `dqbridge_longest_running_seconds{function="hang",stage="_unnamed"}`)
	}, "the metrics have the call that runs")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	becomes(http.StatusServiceUnavailable, "the worker stops")
	if err := errors.Join(run.Process.Kill(), cmd.Process.Signal(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	_, _ = run.Process.Wait()
	_ = cmd.Wait() // by the second signal
	for line := range strings.Lines(stderr()) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level == "" || record.Msg == "" {
			t.Errorf("stderr has the line %q: %v", line, err)
		}
	}
}

func TestExporterServesTheNamespace(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	url := server.URL() + "/?ns=" + testkit.Namespace(t)
	cmd, stderr := background(t, "dqbridge", "exporter", "--redis", url, "--listen", "0", "--pool", "cpu=functions=a,b&slots=2&min=3")
	at := served(t, stderr)
	testkit.Eventually(t, func() bool { status, _ := answered(at + "/readyz"); return status == http.StatusOK }, "the namespace was read")
	status, text := answered(at + "/metrics")
	for _, want := range []string{"\ndqbridge_workers{state=\"live\"} 0\n", "\ndqbridge_desired_workers{pool=\"cpu\"} 3\n"} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%d, without %q: %s", status, want, text)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("%v: %s", err, stderr())
	}
}
