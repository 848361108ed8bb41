package page_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/operate"
)

func TestEachResponseHasPolicy(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{Token: ""})
	for _, path := range slices.Concat(page.Paths(), p.Assets(), []string{"/login", "/nothing", "/events?at=/nothing", "/static/nothing"}) {
		for _, host := range []string{"localhost:8787", "foreign.example"} {
			h := get(t, p, path, func(r *http.Request) { r.Host = host }).Header
			policy := h.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s at %s has the policy %q", path, host, policy)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || h.Get("Cache-Control") == "" {
				t.Errorf("%s at %s has the headers %v", path, host, h)
			}
		}
	}
}

func TestForeignHostIsRefused(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{Hosts: []string{"Ops.example.com"}})
	for host, want := range map[string]int{
		"localhost": 200, "127.0.0.1:80": 200, "[::1]:8787": 200, "ops.example.com:443": 200, "OPS.example.com": 200,
		"foreign.example": 403, "": 403, "localhost.foreign.example": 403, "127.0.0.1.foreign.example:8787": 403,
	} {
		if got := get(t, p, "/", func(r *http.Request) { r.Host = host }).StatusCode; got != want {
			t.Errorf("host %q: status %d, not %d", host, got, want)
		}
	}
}

func TestReadOnlyPageRefusesEachAction(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{})
	if len(page.Acts()) < 9 {
		t.Fatalf("the actions are %q", page.Acts())
	}
	for _, path := range page.Acts() {
		if got := post(t, p, path, "").StatusCode; got != http.StatusForbidden {
			t.Errorf("%s: status %d", path, got)
		}
	}
	for _, path := range page.Paths() {
		if strings.Contains(body(t, get(t, p, path)), "/act/") {
			t.Errorf("%s has a form of an action", path)
		}
	}
}

func TestActionNeedsOriginAndToken(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{Operator: new(operate.Operator)})
	origin := func(from string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Origin", from) }
	}
	for _, path := range page.Acts() {
		for _, from := range []string{"http://foreign.example", "null", "", "http://localhost:9999", "http://localhost"} {
			if got := post(t, p, path, "", origin(from)).StatusCode; got != http.StatusForbidden {
				t.Errorf("%s from %q: status %d", path, from, got)
			}
		}
		for _, form := range []string{"", "csrf=0000"} {
			if got := post(t, p, path, form); got.StatusCode != http.StatusForbidden || !strings.Contains(body(t, got), "not of this process") {
				t.Errorf("%s with the form %q: status %d", path, form, got.StatusCode)
			}
		}
	}
}

// A user enters the token once. Without it, only the form for it and the static files are there.
func TestTokenOpensPages(t *testing.T) {
	t.Parallel()
	const token = "correct horse battery"
	p := pagesOf(t, &namespace{}, page.Options{Token: token, Prefix: "/dq"})
	html := func(r *http.Request) { r.Header.Set("Accept", "text/html") }
	if r := get(t, p, "/dq/queues?q=a", html); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/dq/login?to="+url.QueryEscape("/dq/queues?q=a") {
		t.Errorf("a page without the token: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
	for _, path := range []string{"/dq/", "/dq/events?at=/dq/", "/dq/nothing"} {
		if got := get(t, p, path).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("%s without the token: status %d", path, got)
		}
	}
	if got := post(t, p, "/dq/login", "token=wrong"); got.StatusCode != http.StatusForbidden || len(got.Cookies()) > 0 {
		t.Errorf("a wrong token: status %d, cookies %v", got.StatusCode, got.Cookies())
	}
	in := post(t, p, "/dq/login", "to=/dq/queues&token="+url.QueryEscape(token))
	if in.StatusCode != http.StatusSeeOther || in.Header.Get("Location") != "/dq/queues" || len(in.Cookies()) != 1 {
		t.Fatalf("the token: status %d, to %s, cookies %v", in.StatusCode, in.Header.Get("Location"), in.Cookies())
	}
	cookie := in.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/dq/" || strings.Contains(cookie.Value, token) {
		t.Errorf("the cookie is %v", cookie)
	}
	if got := get(t, p, "/dq/", func(r *http.Request) { r.AddCookie(cookie) }).StatusCode; got != http.StatusOK {
		t.Errorf("with the cookie: status %d", got)
	}
	for sent, want := range map[string]int{"Bearer " + token: 200, "Bearer wrong": 401} {
		if got := get(t, p, "/dq/", func(r *http.Request) { r.Header.Set("Authorization", sent) }).StatusCode; got != want {
			t.Errorf("with %q: status %d", sent, got)
		}
	}
}

func TestSignInStaysOnThisPage(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{Token: "t", Prefix: "/dq"})
	for _, to := range []string{"http://foreign.example/", "//foreign.example", "/other", "\\\\foreign.example", "javascript:alert(1)", "/dq", ""} {
		if got := post(t, p, "/dq/login", "token=t&to="+url.QueryEscape(to)).Header.Get("Location"); got != "/dq/" {
			t.Errorf("to %q: %q", to, got)
		}
	}
}

func TestPrefixHasItsForm(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"dq", "/dq/", "/"} {
		if _, err := page.New(t.Context(), &namespace{}, nil, page.Options{Prefix: prefix, Log: slog.Default()}); err == nil {
			t.Errorf("prefix %q is accepted", prefix)
		}
	}
}
