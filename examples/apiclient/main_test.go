package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A network passes calls to the API without a socket, so that they run in virtual time. It records them and their
// answers.
type network struct {
	api     http.Handler
	mu      sync.Mutex
	calls   []time.Time
	answers map[int]int // by status
}

func newNetwork() *network { return &network{api: newAPI(), answers: map[int]int{}} }

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.calls = append(n.calls, time.Now())
	n.mu.Unlock()
	w := httptest.NewRecorder()
	n.api.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[w.Code]++
	return w.Result(), nil
}

// most returns the largest number of calls in one second.
func (n *network) most() (most int) {
	first := 0
	for i, at := range n.calls {
		for at.Sub(n.calls[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (n *network) scorer() workers.Function { return scorer("http://api", &http.Client{Transport: n}) }

// lines are the lines for words.
func lines(words []string) string {
	var text strings.Builder
	for _, word := range words {
		if word == "x-ray" {
			fmt.Fprintln(&text, "x-ray has no score: score: 422 Unprocessable Entity")
			continue
		}
		sum := 0
		for i := range len(word) {
			sum += points[word[i]-'a']
		}
		fmt.Fprintln(&text, word, sum)
	}
	return text.String()
}

// pairs returns words of two words each.
func pairs() (words []string) {
	for _, first := range []string{"a", "be", "the"} {
		for _, second := range alphabet {
			if second != "x-ray" {
				words = append(words, first+second)
			}
		}
	}
	return words
}

// Three workers, one of which is killed, keep to the limit of the API, so it refuses no call. Its faults are retried.
func TestFleetKeepsToLimit(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		n, words := newNetwork(), pairs()
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(n.scorer())).KillAfter(10)
		for range 2 {
			f.StartWorker(workers.Functions(n.scorer()), workers.Concurrency(8))
		}
		var out bytes.Buffer
		if err := write(t.Context(), ex, words, &out); err != nil || out.String() != lines(words) {
			t.Errorf("%v\n%s\nis not\n%s", err, &out, lines(words))
		}
		if n.most() > apiLimit || n.answers[http.StatusTooManyRequests] > 0 || n.answers[http.StatusServiceUnavailable] == 0 {
			t.Errorf("%d calls in a second; the answers are %v", n.most(), n.answers)
		}
	})
}

// Another client of the API takes calls away. Refused calls are made again when the API says, and each word has its
// result.
func TestRefusedCallsAreMadeAgain(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		n, words := newNetwork(), pairs()
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(n.scorer()), workers.Concurrency(8))
		other := &http.Client{Transport: &network{api: n.api, answers: map[int]int{}}}
		for range apiLimit {
			answer, err := other.Get("http://api/score?word=other")
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
		}
		var out bytes.Buffer
		if err := write(t.Context(), ex, words, &out); err != nil || out.String() != lines(words) {
			t.Errorf("%v\n%s\nis not\n%s", err, &out, lines(words))
		}
		if n.answers[http.StatusTooManyRequests] == 0 {
			t.Errorf("the answers are %v", n.answers)
		}
	})
}

// The program prints the scores of its words in their order, also with the API on a socket and workers on Redis.
func TestReport(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		if err := embedded(t.Context(), &out); err != nil || out.String() != lines(alphabet) {
			t.Errorf("%v\n%s\nis not\n%s", err, &out, lines(alphabet))
		}
	})
	t.Run("workers", func(t *testing.T) {
		t.Parallel()
		address := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
		server := httptest.NewServer(newAPI())
		t.Cleanup(server.Close)
		for range 2 {
			start(t, func() error { return work(t.Context(), address, server.URL) })
		}
		var out bytes.Buffer
		if err := report(t.Context(), address, &out); err != nil || out.String() != lines(alphabet) {
			t.Errorf("%v\n%s\nis not\n%s", err, &out, lines(alphabet))
		}
	})
}

// start runs f until the context of the test has ended.
func start(t *testing.T, f func() error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
