package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/api"
	"github.com/dqbridge/dqbridge/internal/watch"
)

var update = flag.Bool("update", false, "write the golden files")

// paths has a request for each route.
var paths = map[string]string{
	"flows": "flows", "flows/{name}": "flows/orders", "stages": "stages", "stages/{id}": "stages/slowed?range=1h", "queues": "queues",
	"queues/{name}/items": "queues/orders/items?count=1", "sources": "sources", "gathers": "gathers", "workers": "workers", "workers/{id}": "workers/w-1",
	"functions": "functions", "errors": "errors", "dead": "dead", "where": "where?source=s.3737&offset=12", "doctor": "doctor",
	"scale": "scale?functions=fast,slow&slots=2&target=60s&min=0&max=50", "redis": "redis", "runs": "runs",
}

// The answer of each route to a fixed view is in testdata, and fits its schema.
func TestAnswers(t *testing.T) {
	t.Parallel()
	h := handler()
	for _, route := range api.Routes() {
		path := paths[strings.TrimPrefix(route.Path, api.Prefix)]
		if path == "" {
			t.Errorf("%s: no request tests it", route.Path)
			continue
		}
		w := get(t, h, api.Prefix+path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
			continue
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, w.Body.Bytes(), "", "  "); err != nil {
			t.Fatal(err)
		}
		golden(t, regexp.MustCompile(`[^a-z]+`).ReplaceAllString(strings.TrimPrefix(route.Path, api.Prefix), "-"), pretty.Bytes())
		if err := valid(t, route.Answer, w.Body.Bytes()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	file := filepath.Join("testdata", strings.Trim(name, "-")+".json")
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(text, want) {
		t.Errorf("%s (go test ./internal/api -update writes it): %v\n%s", file, err, text)
	}
}

func names(t *testing.T, h http.Handler, query string) string {
	t.Helper()
	w := get(t, h, api.Prefix+"queues?"+query)
	if w.Code != http.StatusOK {
		return decoded[api.Failure](t, w).Error.Message
	}
	l := decoded[api.List[inspect.Queue]](t, w)
	var all []string
	for _, q := range l.Items {
		all = append(all, q.Name)
	}
	return fmt.Sprint(strings.Join(all, " "), " of ", l.Total)
}

func TestListsAreFilteredSortedAndPaged(t *testing.T) {
	t.Parallel()
	h := handler()
	for query, want := range map[string]string{
		"":                       "fast-out orders other/queue slowed of 4",
		"filter=o*":              "fast-out orders other/queue slowed of 4", // the flow is a text too
		"filter=*-out":           "fast-out orders of 2",                    // the consumer too
		"filter=other*":          "other/queue of 1",
		"filter=open":            "other/queue of 1",
		"sort=-waiting&limit=2":  "orders fast-out of 4",
		"sort=-name":             "slowed other/queue orders fast-out of 4",
		"sort=oldest&filter=int": "fast-out slowed orders of 3",
		"sort=-sealed&limit=1":   "orders of 4",
		"limit=2":                "fast-out orders of 4",
		"after=2:0+orders":       "other/queue slowed of 4",
		"after=1:0+orders":       "other/queue slowed of 4", // it has moved
		"after=2:gone":           "orders other/queue slowed of 4",
		"after=99:gone":          " of 4",
		"limit=0":                `limit="0"`,
		"limit=1001":             `limit="1001"`,
		"after=orders":           `after="orders"`,
		"sort=colour":            `sort="colour": there is no such field`,
		"sort=from":              `sort="from": there is no such field`,
		"filter=[":               `filter="[": syntax error in pattern`,
	} {
		if got := names(t, h, query); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
	seen, after := "", ""
	for range 4 {
		l := decoded[api.List[inspect.Queue]](t, get(t, h, api.Prefix+"queues?limit=1&sort=-added&after="+strings.ReplaceAll(after, " ", "+")))
		seen, after = seen+l.Items[0].Name+" ", l.Next
	}
	if seen != "orders fast-out slowed other/queue " || after != "" {
		t.Errorf("one at a time: %s, then %q", seen, after)
	}
}

func TestRequestsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	h := handler()
	for path, want := range map[string]string{
		"nothing":                         "404 not_found there is no such route",
		"flows/nothing":                   "404 not_found there is no flow \"nothing\"",
		"stages/nothing":                  "404 not_found there is no stage \"nothing\"",
		"stages/slowed?range=1d":          "400 bad_request range=\"1d\"",
		"workers/nothing":                 "404 not_found there is no worker \"nothing\"",
		"queues/nothing/items":            "404 not_found peek: " + executor.ErrQueueNotFound.Error(),
		"queues/orders/items?count=none":  "400 bad_request count=\"none\"",
		"where?source=s.3737":             "400 bad_request source=\"s.3737\", offset=\"\"",
		"where?source=s.3737&offset=5000": "400 bad_request where: offset 5000: source s.3737 has ended with 3000 items",
		"scale?target=soon":               "400 bad_request target=\"soon\"",
		"scale?slots=-1":                  "400 bad_request slots=\"-1\"",
		"scale?utilisation=2":             "400 bad_request utilisation 2: give a part of 1, such as 0.9",
		"scale?utilisation=much":          "400 bad_request utilisation=\"much\"",
		"scale?min=3&max=2":               "400 bad_request max 2 is less than min 3: give a larger max",
	} {
		w := get(t, h, api.Prefix+path)
		f := decoded[api.Failure](t, w)
		if got := fmt.Sprint(w.Code, " ", f.Error.Code, " ", f.Error.Message); got != want {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
		if err := valid(t, f, w.Body.Bytes()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestOnlyReads(t *testing.T) {
	t.Parallel()
	h := handler()
	for _, route := range append(api.Routes(), api.Documented{Path: api.Prefix + "events"}, api.Documented{Path: "/elsewhere"}) {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, "PURGE"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, route.Path, nil))
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, route.Path, w.Code)
			}
		}
	}
}

func TestAnswersOfOneViewHaveOneTag(t *testing.T) {
	t.Parallel()
	v := newViews(view())
	h := api.Handler(v, fixed{})
	tag := get(t, h, api.Prefix+"queues").Header().Get("ETag")
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "": 200} {
		if w := get(t, h, api.Prefix+"flows", "If-None-Match", header); w.Code != want || w.Header().Get("ETag") != tag || want == 304 && w.Body.Len() > 0 {
			t.Errorf("If-None-Match: %s: %d with tag %s", header, w.Code, w.Header().Get("ETag"))
		}
	}
	if w := get(t, h, api.Prefix+"dead", "If-None-Match", "*"); w.Code != http.StatusOK || w.Header().Get("ETag") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an answer from Redis: %d %v", w.Code, w.Header())
	}
	next := view()
	next.At = at.Add(2 * time.Second)
	v.set(next)
	if w := get(t, h, api.Prefix+"flows", "If-None-Match", tag); w.Code != http.StatusOK {
		t.Errorf("a new view: %d", w.Code)
	}
}

func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	away := view()
	away.Err = errors.New("no route to host")
	limited := fixed{err: context.DeadlineExceeded}
	for name, c := range map[string]struct {
		h    http.Handler
		path string
	}{
		"a view":             {api.Handler(newViews(away), fixed{}), "flows"},
		"the workers wanted": {api.Handler(newViews(away), fixed{}), "scale"},
		"dead letters":       {api.Handler(newViews(view()), limited), "dead"},
		"an item":            {api.Handler(newViews(view()), limited), "where?source=s.3737&offset=1"},
		"the past":           {api.Handler(newViews(view()), limited), "stages/slowed"},
		"the items":          {api.Handler(newViews(view()), limited), "queues/orders/items"},
	} {
		w := get(t, c.h, api.Prefix+c.path)
		f := decoded[api.Failure](t, w)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || f.Error.Code != "unavailable" || !f.At.Equal(at) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// The first request waits for the first view, for five seconds at most.
func TestFirstViewIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViews(watch.View{})
		h := api.Handler(v, fixed{})
		if w := get(t, h, api.Prefix+"flows"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("without a view: %d", w.Code)
		}
		answer := make(chan int)
		go func() { answer <- get(t, h, api.Prefix+"flows").Code }()
		synctest.Wait()
		v.set(view())
		if code := <-answer; code != http.StatusOK {
			t.Errorf("with the first view: %d", code)
		}
	})
}
