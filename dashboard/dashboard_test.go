package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/dashboard"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A program mounts the pages below a path of its own server. Close leaves no goroutine behind, which
// TestMain checks.
func TestPagesBelowPath(t *testing.T) {
	t.Parallel()
	ex, err := executor.New(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	pages, err := dashboard.New(t.Context(), ex, dashboard.Prefix("/dq"), dashboard.Name("orders"), dashboard.Hosts("ops.example.com"), dashboard.HidePayloads())
	if err != nil {
		t.Fatal(err)
	}
	defer pages.Close()
	mux := http.NewServeMux()
	mux.Handle("/dq/", pages)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://ops.example.com/dq/", nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if text := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(text, "<title>Flows · orders</title>") || !strings.Contains(text, `href="/dq/queues"`) {
		t.Errorf("status %d: %.500s", w.Code, text)
	}
}

func TestWrongPrefixIsAnError(t *testing.T) {
	t.Parallel()
	ex, err := executor.New(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	if _, err := dashboard.New(t.Context(), ex, dashboard.Prefix("dq/")); err == nil {
		t.Error("the prefix dq/ is accepted")
	}
}
