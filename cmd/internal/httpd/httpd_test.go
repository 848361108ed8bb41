package httpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// serve serves routes at a free port and returns the address.
func serve(t *testing.T, r Routes) (*Server, string) {
	t.Helper()
	if r.Metrics == nil {
		r.Metrics = prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})
	}
	handler, err := r.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), "0", handler, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Addr(), "127.0.0.1:") {
		t.Errorf("it listens at %s", s.Addr())
	}
	return s, "http://" + s.Addr()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestRoutesOfAServer(t *testing.T) {
	t.Parallel()
	var reason error
	s, url := serve(t, Routes{Ready: func() error { return reason }, Root: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the page")
	})})
	check := func(path string, status int, text string) {
		t.Helper()
		if got, body := get(t, url+path); got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %s", path, got, body)
		}
	}
	check("/healthz", 200, "ok\n")
	check("/readyz", 200, "ready\n")
	check("/metrics", 200, "\nx 0\n")
	check("/metrics", 200, "\ngo_goroutines ")
	check("/", 200, "the page")
	check("/debug/pprof/", 200, "the page")
	reason = errors.New("it drains")
	check("/readyz", 503, "it drains\n")
	check("/healthz", 200, "ok\n")
	if err := Check(t.Context(), url+"/healthz"); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), url+"/readyz"); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: it drains") {
		t.Errorf("the check of a server that is not ready: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), url+"/healthz"); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("the check of a closed server: %v", err)
	}
	for _, wrong := range []string{"", "127.0.0.1:80", "ftp://x/", "http:///readyz", ":"} {
		if err := Check(t.Context(), wrong); !errors.Is(err, ErrInvalidURL) {
			t.Errorf("Check(%q): %v", wrong, err)
		}
	}
}

func TestProfilesAreServedOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	for status, r := range map[int]Routes{200: {Profile: true}, 404: {}} {
		s, url := serve(t, r)
		if got, _ := get(t, url+"/debug/pprof/cmdline"); got != status {
			t.Errorf("%+v: %d", r, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A request that runs, such as a stream of events, ends with the server.
func TestCloseEndsRequests(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	s, url := serve(t, Routes{Root: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})})
	answered := make(chan error, 1)
	go func() { answered <- Check(context.WithoutCancel(t.Context()), url+"/events") }()
	<-began
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestAddressesWithoutAHostAreLocal(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080", "0.0.0.0:80": "0.0.0.0:80", "[::1]:80": "[::1]:80", "host:0": "host:0",
	} {
		if got, err := withHost(address); got != want || err != nil {
			t.Errorf("%s becomes %s, %v", address, got, err)
		}
	}
	for _, address := range []string{"host", "host:http", "80:80:80", "65536", ":", "-1"} {
		if got, err := withHost(address); err == nil {
			t.Errorf("%s becomes %s", address, got)
		}
	}
}

func TestOnlyLoopbackNeedsNoToken(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:8787": true, "localhost:0": true, "[::1]:1": true, "127.9.9.9:80": true,
		":8787": false, "0.0.0.0:8787": false, "[::]:8787": false, "10.0.0.1:80": false, "ops.example.com:80": false, "nonsense": false, "localhost.example.com:80": false,
	} {
		if IsLoopback(address) != want {
			t.Errorf("%s is of the loopback: %v", address, !want)
		}
	}
}

func TestPortsAloneAreLocal(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"9464": true, ":9464": true, "127.0.0.1:1": true, "0.0.0.0:9464": false, "10.0.0.1:80": false, "nonsense": false} {
		if IsLocal(address) != want {
			t.Errorf("%s is local: %v", address, !want)
		}
	}
}
