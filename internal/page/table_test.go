package page_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// crowd is a namespace with a thousand queues and 200 workers.
func crowd() *namespace {
	n := &namespace{}
	for i := range 1000 {
		n.snapshot.Queues = append(n.snapshot.Queues, inspect.Queue{Name: fmt.Sprintf("q%04d", i), State: "open", Waiting: int64(i * 7 % 1000), Flow: "f"})
	}
	for i := range 200 {
		n.snapshot.Workers = append(n.snapshot.Workers, inspect.Worker{ID: fmt.Sprint("w", i), Host: fmt.Sprintf("host%03d", i), State: "live", Functions: []string{"f"}})
	}
	return n
}

var opened = regexp.MustCompile(`class="open" href="[^"]*"><bdi>([^<]*)</bdi>`)

// rows returns the names in the first column of a page.
func rows(t *testing.T, p http.Handler, path string) (names []string) {
	t.Helper()
	for _, m := range opened.FindAllStringSubmatch(body(t, get(t, p, path)), -1) {
		names = append(names, m[1])
	}
	return names
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, crowd(), page.Options{})
	for path, want := range map[string][3]string{
		"/queues":                          {"q0000", "q0049", "50"},
		"/queues?page=20":                  {"q0950", "q0999", "50"},
		"/queues?page=21":                  {"q0950", "q0999", "50"},
		"/queues?page=x":                   {"q0000", "q0049", "50"},
		"/queues?sort=-waiting":            {"q0857", "q0850", "50"}, // 7i mod 1000 is 999, and 950
		"/queues?sort=-queue":              {"q0999", "q0950", "50"},
		"/queues?sort=none":                {"q0000", "q0049", "50"},
		"/queues?q=Q099":                   {"q0990", "q0999", "10"},
		"/queues?q=q01&sort=-queue&page=2": {"q0149", "q0100", "50"},
		"/workers?page=4":                  {"host150:0", "host199:0", "50"},
		"/workers?sort=-worker&q=host19":   {"host199:0", "host190:0", "10"},
		"/?sort=-flow":                     {"q0999", "q0950", "50"},
		"/queues?q=nothing":                {},
	} {
		got := rows(t, p, path)
		if want[2] == "" && len(got) == 0 {
			continue
		}
		if len(got) == 0 || got[0] != want[0] || got[len(got)-1] != want[1] || fmt.Sprint(len(got)) != want[2] {
			t.Errorf("%s: %d rows: %q", path, len(got), got)
		}
	}
}

// The addresses of a list keep the rest of its parameters.
func TestHeadsKeepFilter(t *testing.T) {
	t.Parallel()
	text := body(t, get(t, pagesOf(t, crowd(), page.Options{}), "/queues?q=q0&sort=-waiting&page=2&done=pause"))
	for _, want := range []string{`href="?q=q0&amp;sort=waiting"`, `aria-sort="descending"`, `href="?page=3&amp;q=q0&amp;sort=-waiting"`, `href="?page=1&amp;q=q0&amp;sort=-waiting"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// The first load, with all that it needs, is small.
func TestFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, crowd(), page.Options{})
	for _, path := range []string{"/", "/queues", "/workers"} {
		text := body(t, get(t, p, path))
		size := len(text)
		for _, asset := range p.Assets() {
			if !strings.Contains(text, asset) {
				t.Errorf("%s does not use %s", path, asset)
			}
			r := get(t, p, asset, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
			size += len(body(t, r))
		}
		if size > 150<<10 {
			t.Errorf("%s takes %d bytes", path, size)
		}
	}
}

func TestFilesHaveLicences(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, &namespace{}, page.Options{})
	if found := slices.ContainsFunc(p.Assets(), func(path string) bool { return strings.Contains(path, "LICENSE") }); found {
		t.Error("a licence is served as a file of the page")
	}
}
