package jobs

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadJoblog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := CreateJoblog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []Record{
		{Number: 2, Command: "a\nb", Exit: 3},
		{Number: 70, Command: "killed", Signal: 9},
		{Number: 1, Command: "good", Output: []byte("12345"), Start: time.UnixMilli(1234567), Took: 1500 * time.Millisecond},
		{Number: 70, Command: "again", Exit: -1},
		{Number: 4, Function: true, Failed: true, Command: "up 4"},
	} {
		if err := log.Add(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if text := read(t, path); !strings.Contains(text, "\n1\t:\t1234.567\t     1.500\t0\t5\t0\t0\tgood\n") {
		t.Error(text)
	}
	p, err := ReadJoblog(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Job{failedJob(2, "a\nb"), failedJob(4, "up 4"), failedJob(70, "again")}
	if !reflect.DeepEqual(p.Failed(), want) {
		t.Errorf("%v", p.Failed())
	}
	var done, succeeded []int64
	for n := range int64(200) {
		if p.Done(n) {
			done = append(done, n)
		}
		if p.Succeeded(n) {
			succeeded = append(succeeded, n)
		}
	}
	if !slices.Equal(done, []int64{1, 2, 4, 70}) || !slices.Equal(succeeded, []int64{1}) {
		t.Errorf("%v, %v", done, succeeded)
	}
}

func TestJoblogContinuesAfterItsLastWholeRow(t *testing.T) {
	for name, c := range map[string]struct{ before, kept string }{
		"none":      {"", joblogHead},
		"a row":     {joblogHead + "1\trow\n", joblogHead + "1\trow\n"},
		"torn":      {joblogHead + "1\trow\n2\tto", joblogHead + "1\trow\n"},
		"long torn": {joblogHead + strings.Repeat("x", 200_000), joblogHead},
		"all torn":  {"Seq\tHo", joblogHead},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := CreateJoblog("+" + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != c.kept {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestJoblogOfAnotherFormatIsRefused(t *testing.T) {
	for _, text := range []string{"a\n", "x\t:\t1\t1\t0\t0\t0\t0\tc\n", "-1\t:\t1\t1\t0\t0\t0\t0\tc\n", "99999999999999\t:\t1\t1\t0\t0\t0\t0\tc\n", "1\t:\t1\t1\t0\t0\t0\tc\n"} {
		if p, err := readHistory(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %v", text, p)
		}
	}
}

func TestPathsOfResults(t *testing.T) {
	r := Results{Dir: "d", Names: []string{"a/b", "B"}}
	for want, args := range map[string][]string{
		`d/a\_b/x y`:      {"x y"},
		`d/B/\./a\_b/\..`: {"..", "."},
		`d/a\_b/\\\t\0\_`: {"\\\t\x00/"},
		`d/B/z/a\_b`:      {"", "z"},
		"d/a\\_b/" + strings.Repeat("ä", 127) + "\xc3": {strings.Repeat("ä", 200)},
	} {
		if got := r.path(args); got != want {
			t.Errorf("%q: %q, not %q", args, got, want)
		}
	}
}
