package integration

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

var dashboardAt = regexp.MustCompile(`dashboard at (http://\S+)/`)

// dashboard starts a dashboard, which ends with the test. It returns its address.
func dashboard(t *testing.T, url string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dqbridge", append([]string{"dashboard", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+url)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var found []string
	for found == nil && lines.Scan() {
		found = dashboardAt.FindStringSubmatch(lines.Text())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, stderr)
		_ = cmd.Wait() // it ends by a signal
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	if found == nil {
		t.Fatalf("the dashboard does not start: %v", lines.Err())
	}
	return found[1]
}

// fetched returns the status and the text of a page.
func fetched(t *testing.T, address string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// The rights of an observer suffice for each page, each answer of the API, and for the commands that
// look for one item.
func TestObserverRoleSufficesForPages(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	reject := workers.Define("reject", func(context.Context, int) (int, error) { return 0, errors.New("rejected") })
	stop := employ(t, address("worker"), workers.Functions(reject))
	ex := connected(t, address("operator"))
	in := make(chan int, 3)
	in <- 1
	q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("orders"), bridge.DurableSource("till"))
	if err == nil {
		_, err = executor.Map(t.Context(), reject, q, executor.Name("paid"))
	}
	if err != nil {
		t.Fatal(err)
	}
	id := plantLetter(t, admin, strings.Repeat("large ", 500))
	s, err := ex.Snapshot(t.Context())
	if err != nil || len(s.Workers) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	testkit.Eventually(t, func() bool {
		groups, err := ex.Errors(t.Context())
		return err == nil && len(groups) == 1
	}, "the failure is reported")
	at := dashboard(t, address("observer"))
	for path, want := range map[string]string{
		"/": "orders", "/flow?name=orders": "reject", "/stage?id=paid": "reject", "/queues": "paid", "/queue?name=orders": "orders", "/workers": "reject",
		"/worker?id=" + s.Workers[0].ID: "reject", "/errors": "rejected", "/dead": "orders", "/dead?id=" + id: "large", "/where?source=till&offset=0": "paid",
		"/redis": "may not", "/healthz": "ok",
		"/api/v1/flows": "orders", "/api/v1/flows/orders": "reject", "/api/v1/queues": "paid", "/api/v1/sources": "till", "/api/v1/stages/paid": "reject",
		"/api/v1/stages/paid?range=1h": "reject", "/api/v1/workers": "reject", "/api/v1/errors": "rejected", "/api/v1/dead": "orders", "/api/v1/doctor": "D1",
		"/api/v1/where?source=till&offset=0": "paid",
	} {
		if status, text := fetched(t, at+path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: status %d: %.1500s", path, status, text)
		}
	}
	for _, line := range []string{"doctor", "where till 0", "peek paid", "history", "scale --functions reject"} {
		cmd := exec.CommandContext(t.Context(), "dqbridge", strings.Fields(line)...)
		cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+address("observer"))
		if out, err := cmd.CombinedOutput(); err != nil && (line != "doctor" || cmd.ProcessState.ExitCode() != 1) {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	close(in)
	stop()
	noDenials(t, admin, "config|get", "info", "set", "acl|dryrun", "scan")
}
