package main

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestStages(t *testing.T) {
	got := dqtest.Values(t, stages, []string{"`Oh dear!  Oh dear!", "", "  I shan't be late!'"}, words, notable)
	if want := strings.Fields("oh dear oh dear shan't late"); !slices.Equal(got, want) {
		t.Errorf("the words are %q, want %q", got, want)
	}
}

// plain counts the words of a text in one loop.
func plain(text string) map[string]int {
	counts := map[string]int{}
	for _, word := range regexp.MustCompile(`[a-z]+(?:'+[a-z]+)*`).FindAllString(strings.ToLower(text), -1) {
		if !slices.Contains(stopWords, word) {
			counts[word]++
		}
	}
	return counts
}

// The words of the whole book are counted as by a plain loop, in this process and by two workers.
func TestCountsAreThoseOfPlainLoop(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"embedded", "workers"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			address := ""
			if place == "workers" {
				address = testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
				start(t, address)
				start(t, address)
			}
			got, err := count(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			want := plain(book)
			if !maps.Equal(got, want) {
				t.Errorf("%d different words, %d times alice; want %d and %d", len(got), got["alice"], len(want), want["alice"])
			}
		})
	}
}

// start runs a worker until the test has ended.
func start(t *testing.T, address string) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- work(t.Context(), address) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestReport(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := report(t.Context(), "", &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	if len(lines) != 11 || lines[0] != " 462 said\n" || lines[1] != " 386 alice\n" {
		t.Errorf("the report is\n%s", &out)
	}
}
