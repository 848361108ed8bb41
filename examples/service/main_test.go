package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/workers"
)

const parisTokyo = "/distance?from=Paris&to=Tokyo"

// get makes a request without a socket, so that it runs in virtual time.
func get(ctx context.Context, h http.Handler, url string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// hangs is the second function of the service, in a form that waits for its context and reports that it has ended.
func hangs(calls *int, ended chan<- error) workers.Function {
	return workers.Define("distance", func(ctx context.Context, _ Leg) (int, error) {
		*calls++
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return 0, ctx.Err()
	})
}

func TestAnswers(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(locate))
		f.StartWorker(workers.Functions(distance))
		for url, want := range map[string]string{
			parisTokyo:                        `200 {"km":9713}`,
			"/distance?from=Paris&to=Babel":   `422 locate: unknown capital "Babel"`,
			"/distance?from=Lima&to=Canberra": `200 {"km":12856}`,
		} {
			code, body := get(t.Context(), handler(ex), url)
			if got := fmt.Sprint(code, " ", body); got != want {
				t.Errorf("%s: %s, want %s", url, got, want)
			}
		}
	})
}

// A call that takes too long is made three times in all. Then the answer is 504.
func TestSlowCalls(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		calls, ended := 0, make(chan error, 3)
		f.StartWorker(workers.Functions(locate, hangs(&calls, ended)))
		start := time.Now()
		code, body := get(t.Context(), handler(ex), parisTokyo)
		if code != http.StatusGatewayTimeout || calls != 3 {
			t.Errorf("%d %s after %d calls", code, body, calls)
		}
		if took := time.Since(start); took < 3*callTimeout || took > requestTimeout {
			t.Errorf("it took %v of virtual time", took)
		}
	})
}

// Without a worker, the answer is 504 after the time of the request.
func TestNoWorker(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		if code, body := get(t.Context(), handler(ex), parisTokyo); code != http.StatusGatewayTimeout {
			t.Errorf("%d %s", code, body)
		}
	})
}

// If the client goes, the context of the function ends.
func TestCanceledRequest(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		calls, ended := 0, make(chan error, 3)
		f.StartWorker(workers.Functions(locate, hangs(&calls, ended)))
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int)
		go func() {
			got, _ := get(ctx, handler(ex), parisTokyo)
			code <- got
		}()
		synctest.Wait() // the function runs
		start := time.Now()
		cancel()
		<-ended
		if got := <-code; got != 499 || calls != 1 || time.Since(start) >= callTimeout {
			t.Errorf("status %d after %d calls and %v", got, calls, time.Since(start))
		}
	})
}
