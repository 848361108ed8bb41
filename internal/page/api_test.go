package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// Programs ask for JSON below the path of the pages, as users do: by a known host, with the token.
func TestProgramsAskSameGuards(t *testing.T) {
	t.Parallel()
	n := &namespace{snapshot: inspect.Snapshot{Queues: []inspect.Queue{{Name: "orders"}}}}
	public := pagesOf(t, n, page.Options{Prefix: "/dq"})
	private := pagesOf(t, n, page.Options{Prefix: "/dq", Token: "correct horse battery"})
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	foreign := func(r *http.Request) { r.Host = "foreign.example" }
	for name, c := range map[string]struct {
		p      *page.Page
		path   string
		change func(*http.Request)
		want   int
	}{
		"no token needed":    {public, "/dq/api/v1/queues", unchanged, 200},
		"the token":          {private, "/dq/api/v1/queues", bearer("correct horse battery"), 200},
		"no token":           {private, "/dq/api/v1/queues", unchanged, 401},
		"a wrong token":      {private, "/dq/api/v1/queues", bearer("wrong"), 401},
		"events, no token":   {private, "/dq/api/v1/events", unchanged, 401},
		"a foreign host":     {public, "/dq/api/v1/queues", foreign, 403},
		"another path":       {public, "/api/v1/queues", unchanged, 404},
		"a probe":            {private, "/dq/healthz", unchanged, 200},
		"a probe by a name":  {private, "/dq/healthz", foreign, 403},
		"below the probe":    {private, "/dq/healthz/queues", unchanged, 401},
		"a path to the side": {private, "/dq/healthz/../api/v1/queues", unchanged, 401},
	} {
		r := get(t, c.p, c.path, c.change)
		text := body(t, r)
		if r.StatusCode != c.want || strings.Contains(text, "orders") != (c.want == 200 && strings.HasSuffix(c.path, "queues")) {
			t.Errorf("%s: %d %s", name, r.StatusCode, text)
		}
	}
	if r := post(t, public, "/dq/api/v1/queues", "", func(r *http.Request) { r.Header.Del("Origin") }); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

func unchanged(*http.Request) {}

// Close ends the streams of the API, so that a server can end.
func TestCloseEndsEventsOfAPI(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{})
	server := httptest.NewServer(p)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if text := body(t, response); !strings.Contains(text, "retry: ") { // it reads to the end
		t.Errorf("the stream was %q", text)
	}
}

func TestAPIHidesPayloads(t *testing.T) {
	t.Parallel()
	n := &namespace{queued: []inspect.Item{{Text: "secret of a customer", Bytes: 20, Form: inspect.TextForm}}}
	for hide, want := range map[bool]bool{false: true, true: false} {
		text := body(t, get(t, pagesOf(t, n, page.Options{HidePayloads: hide}), "/api/v1/queues/orders/items"))
		if strings.Contains(text, "secret") != want || !strings.Contains(text, `"bytes":20`) {
			t.Errorf("hidden %v: %s", hide, text)
		}
	}
}
