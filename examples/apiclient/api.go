package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	apiLimit   = 20                    // calls that the API allows in any second
	apiLatency = 30 * time.Millisecond // of an answer
)

// points are those of the letters from a to z.
var points = [...]int{1, 3, 3, 2, 1, 4, 2, 4, 1, 8, 5, 1, 3, 1, 1, 3, 10, 1, 1, 1, 1, 4, 4, 8, 4, 10}

// An api is a stand-in for the API of a service. The first call for each word of five letters fails, and so do calls above
// the limit.
type api struct {
	mu     sync.Mutex
	calls  []time.Time // those of the last second
	failed map[string]bool
}

func newAPI() http.Handler {
	mux := http.NewServeMux()
	a := &api{failed: map[string]bool{}}
	mux.HandleFunc("GET /score", a.score)
	return mux
}

// score answers with the sum of the points of a word.
func (a *api) score(w http.ResponseWriter, r *http.Request) {
	word := r.FormValue("word")
	status := a.admit(word, time.Now())
	select {
	case <-time.After(apiLatency):
	case <-r.Context().Done():
		return
	}
	switch status {
	case http.StatusOK:
		sum := 0
		for _, letter := range word {
			sum += points[letter-'a']
		}
		fmt.Fprintln(w, sum)
		return
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}

// admit counts a call and returns the status of its answer.
func (a *api) admit(word string, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.calls) > 0 && now.Sub(a.calls[0]) >= time.Second {
		a.calls = a.calls[1:]
	}
	a.calls = append(a.calls, now) // refused calls count too
	switch {
	case len(a.calls) > apiLimit:
		return http.StatusTooManyRequests
	case strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "":
		return http.StatusUnprocessableEntity
	case len(word) == 5 && !a.failed[word]:
		a.failed[word] = true
		return http.StatusServiceUnavailable
	default:
		return http.StatusOK
	}
}
