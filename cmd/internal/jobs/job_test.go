package jobs

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJobEncoding(t *testing.T) {
	for _, want := range []Job{{Number: 1}, {Number: 1 << 40, Args: []string{""}}, {Number: 3, Args: []string{"a", "", "\xff\x00\n"}}} {
		if got, err := DecodeJob(want.Encode()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, %v", want, got, err)
		}
	}
}

func TestOutcomeEncoding(t *testing.T) {
	for _, want := range []Outcome{
		{Command: "x", Exit: -1, Signal: 15, Start: time.Unix(5, 7), Took: time.Second, Attempts: 3, Why: "w", Stdout: []byte("out"), Stderr: []byte("err")},
		{Skipped: true, Start: time.Unix(0, 0), Stdout: []byte{}, Stderr: []byte{}},
	} {
		item := want.Encode()
		if got, err := DecodeOutcome(item); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%v: %v, %v", want, got, err)
		}
		for n := range item {
			if _, err := DecodeOutcome(item[:n]); !errors.Is(err, errShort) {
				t.Errorf("the first %d bytes: %v", n, err)
			}
		}
	}
}

func TestParseHalt(t *testing.T) {
	for text, want := range map[string]Halt{
		"": {}, "never": {}, "0": {}, "1": {Of: "fail", Count: 1}, "2": {Now: true, Of: "fail", Count: 1},
		"-1": {Of: "success", Count: 1}, "-2": {Now: true, Of: "success", Count: 1}, "5%": {Of: "fail", Percent: 5},
		"soon,fail=3": {Of: "fail", Count: 3}, "now,success=20%": {Now: true, Of: "success", Percent: 20}, "soon,done=1": {Of: "done", Count: 1},
	} {
		got, err := ParseHalt(text)
		got.text = ""
		if got != want || err != nil {
			t.Errorf("%q: %v, %v, not %v", text, got, err, want)
		}
	}
	for _, text := range []string{"now", "now,fail", "later,fail=1", "now,fail=0", "now,fail=101%", "soon,some=3", "x", "now,fail=x%"} {
		if got, err := ParseHalt(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestReadGroupsItems(t *testing.T) {
	broken := errors.New("broken")
	items := func(yield func(Row, error) bool) {
		for _, item := range strings.Fields("a b c") {
			if !yield(Row{item, []string{item}}, nil) {
				return
			}
		}
		yield(Row{}, broken)
	}
	var got []Job
	var last error
	for job, err := range Read(items, 2) {
		if last = err; err == nil {
			got = append(got, job)
		}
	}
	if want := []Job{{1, []string{"a", "b"}, []string{"a", "b"}}, {2, []string{"c"}, []string{"c"}}}; !reflect.DeepEqual(got, want) || !errors.Is(last, broken) {
		t.Errorf("%v, %v", got, last)
	}
	if got = slices.Collect(first(Read(items, 1), 1)); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// first returns the first n jobs.
func first(all func(func(Job, error) bool), n int) func(func(Job) bool) {
	return func(yield func(Job) bool) {
		for job := range all {
			if n--; n < 0 || !yield(job) {
				return
			}
		}
	}
}
