package page_test

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

// hostile is a name as an attacker may choose it.
const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\x00\u202egnp\u2066\r\nevent: view"

// plant puts a text into each string of a value and numbers into the others.
func plant(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		plant(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		plant(v.Index(0), text)
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Unix(1_800_000_000, 0)
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				plant(v.Field(i), text)
			}
		}
	}
}

// planted returns a namespace whose texts are all the same.
func planted(text string) *namespace {
	n := &namespace{where: make([]inspect.Location, 1), letters: make([]executor.DeadLetter, 1), items: [][]byte{[]byte(text)}}
	for _, v := range []any{&n.snapshot, &n.errors, &n.server, &n.history, &n.ended, &n.where[0], &n.letters[0]} {
		plant(reflect.ValueOf(v).Elem(), text)
	}
	return n
}

// shown are the pages about objects with the name text.
func shown(text string) []string {
	name := url.QueryEscape(text)
	return append(page.Paths(), "/flow?partition=3&name="+name, "/queue?name="+name, "/stage?id="+name, "/worker?id="+name, "/dead?id="+name,
		"/where?offset=3&source="+name, "/where?offset=x&source="+name, "/queues?q="+name+"&sort="+name, "/queue?name=no"+name, "/flow?done="+name)
}

// Each text of a namespace is shown as text: no markup, and no character that changes how other text
// is shown.
func TestHostileTextsAreText(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, planted(hostile), page.Options{Name: hostile, As: hostile})
	bad := regexp.MustCompile(`<script>|<img|onerror=alert\(1\)>[^"]*<|[\x00-\x08\x0b-\x1f]|[\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
	for _, path := range shown(hostile) {
		r := get(t, p, path)
		text := strings.ReplaceAll(body(t, r), "\r\n", "\n")
		if at := bad.FindStringIndex(text); at != nil {
			t.Errorf("%.60s: %q", path, text[max(0, at[0]-120):min(len(text), at[1]+60)])
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	p := pagesOf(t, planted(long), page.Options{})
	for _, path := range []string{"/", "/queues", "/workers", "/errors", "/ended", "/dead?id=3", "/redis"} {
		text := body(t, get(t, p, path))
		shown := regexp.MustCompile(`>[^<]*<`).FindAllString(text, -1)
		for _, s := range shown {
			if len(s) > 4<<10+100 {
				t.Errorf("%s shows a text of %d bytes", path, len(s))
			}
		}
	}
	if text := body(t, get(t, p, "/dead?id="+long)); !strings.Contains(text, "1.0 MiB") {
		t.Error("the size of a long item is not shown")
	}
}

func TestPayloadsCanBeHidden(t *testing.T) {
	t.Parallel()
	n := planted("letter-1")
	n.items = [][]byte{[]byte("secret of a customer")}
	for hide, want := range map[bool]bool{false: true, true: false} {
		text := body(t, get(t, pagesOf(t, n, page.Options{HidePayloads: hide}), "/dead?id=letter-1"))
		if strings.Contains(text, "secret of a customer") != want || !strings.Contains(text, "20 B") {
			t.Errorf("hidden %v: the item is in the page: %v", hide, !want)
		}
	}
}

// An id of a letter that does not fit into text is no key of an action.
func TestNamesAreKeptInLinks(t *testing.T) {
	t.Parallel()
	p := pagesOf(t, planted(hostile), page.Options{})
	want := fmt.Sprintf(`href="/queue?name=%s"`, strings.ReplaceAll(url.QueryEscape(hostile), "+", "&#43;"))
	if text := body(t, get(t, p, "/queues")); !strings.Contains(text, want) {
		t.Errorf("the page has no link %s", want)
	}
}
