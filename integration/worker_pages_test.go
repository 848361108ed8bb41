package integration

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A worker serves the pages and the API beside its health.
func TestWorkerServesPages(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	_, stderr := background(t, "dqworker", "--redis", server.URL(), "--http", "0")
	at := served(t, stderr)
	testkit.Eventually(t, func() bool { status, _ := answered(at + "/readyz"); return status == http.StatusOK }, "the worker is ready")
	for _, path := range []string{"/healthz", "/metrics"} {
		if status, text := answered(at + path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, text := answered(at + "/workers"); status != http.StatusOK || !strings.Contains(text, "read-only") || !strings.Contains(text, "double") {
		t.Errorf("/workers: %d %s", status, text)
	}
	if status, text := answered(at + "/api/v1/workers"); status != http.StatusOK || !strings.Contains(text, `"sha256file"`) {
		t.Errorf("the API: %d %s", status, text)
	}
}

// An address that other machines can reach has pages only with a token; health and metrics need none.
func TestWorkerPagesNeedToken(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	const token = "0123456789abcdef"
	file := t.TempDir() + "/token"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		{nil, http.StatusForbidden, "give dqworker --token-file"},
		{[]string{"--token-file", file}, http.StatusUnauthorized, "needs a token"},
	} {
		_, stderr := background(t, append([]string{"dqworker", "--redis", server.URL(), "--http", "0.0.0.0:0"}, c.args...)...)
		var port string
		testkit.Eventually(t, func() bool {
			_, port, _ = strings.Cut(stderr(), "http://[::]:")
			return strings.Contains(port, "\n")
		}, "stderr has the address")
		port, _, _ = strings.Cut(port, "\n")
		at := "http://127.0.0.1:" + port
		for _, path := range []string{"/", "/api/v1/workers"} {
			if status, text := answered(at + path); status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("%q %s: %d %s", c.args, path, status, text)
			}
		}
		for _, path := range []string{"/healthz", "/metrics"} {
			if status, text := answered(at + path); status != http.StatusOK {
				t.Errorf("%q %s: %d %s", c.args, path, status, text)
			}
		}
	}
}

// The Redis user of a worker may read all data of its pages.
func TestWorkerPagesNeedNoFurtherRights(t *testing.T) {
	t.Parallel()
	address, _ := secured(t)
	_, stderr := background(t, "dqworker", "--redis", address("worker"), "--http", "0")
	at := served(t, stderr)
	testkit.Eventually(t, func() bool { status, _ := answered(at + "/readyz"); return status == http.StatusOK }, "the worker is ready")
	for _, path := range []string{"/", "/workers", "/queues", "/errors", "/dead", "/redis"} {
		if status, text := answered(at + path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
