package command

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/workers"
)

func TestExec(t *testing.T) {
	for _, c := range []struct{ command, item, want string }{
		{"cat", "a\nb", "a\nb"},
		{"cat", "a\n", "a\n"},
		{"cat", "a\r", "a\r"},
		{"wc -c", "four", "5"},
		{"read -r sum && echo $(($sum))", "1+1", "2"},
		{"while read -r l; do echo \"got $l\"; done", "it", "got it"},
		{"true", strings.Repeat("unread", 1<<16), ""},
		{"exec <&-; echo closed", strings.Repeat("unread", 1<<16), "closed"},
		{"echo noise >&2; echo value", "", "value"},
	} {
		if got, err := launch(t).exec(withoutPlaceholders(c.command), "\n")(t.Context(), c.item); got != c.want || err != nil {
			t.Errorf("%s of %.20q: got %q, %v", c.command, c.item, got, err)
		}
	}
}

func TestExec0(t *testing.T) {
	for _, c := range []struct{ command, item, want string }{
		{"wc -c", "four", "4"},
		{"cat", "a\n", "a"},
		{"cat", "a\n\n", "a\n"},
		{"cat", "a\x00b\r\n", "a\x00b\r"},
	} {
		if got, err := launch(t).exec(withoutPlaceholders(c.command), "")(t.Context(), c.item); got != c.want || err != nil {
			t.Errorf("%s of %q: got %q, %v", c.command, c.item, got, err)
		}
	}
}

func TestPipe(t *testing.T) {
	for _, c := range []struct {
		command     string
		items, want []string
	}{
		{"awk '{print $1}'", []string{"a b", "", "c d"}, []string{"a", "", "c"}},
		{"awk '{printf \"%s%s\", sep, $1; sep = \"\\n\"}'", []string{"a", "b"}, []string{"a", "b"}},
		{"cat", []string{""}, []string{""}},
		{"cat", []string{"", ""}, []string{"", ""}},
		{"exit 1", nil, nil},
	} {
		got, err := launch(t).pipe(c.command)(t.Context(), c.items)
		if !slices.Equal(got, c.want) || err != nil {
			t.Errorf("%s of %q: got %q, %v", c.command, c.items, got, err)
		}
	}
}

func TestPipeFailsOnAnotherNumberOfLines(t *testing.T) {
	big := slices.Repeat([]string{"item"}, 100_000)
	for _, c := range []struct {
		command string
		items   []string
		want    string
	}{
		{"head -n 2", []string{"a", "b", "c"}, "pipe: 3 lines in, 2 lines out"},
		{"head -n 2", big, "pipe: 100000 lines in, 2 lines out"},
		{"sed p", []string{"a"}, "pipe: 1 lines in, 2 lines out"},
		{"cat >/dev/null", []string{"a"}, "pipe: 1 lines in, 0 lines out"},
		{"true", []string{""}, "use exec:"},
	} {
		got, err := launch(t).pipe(c.command)(t.Context(), c.items)
		wantError(t, err, c.want)
		if got != nil {
			t.Errorf("%s: got %q", c.command, got)
		}
	}
}

func TestPipeOfManyLines(t *testing.T) {
	items := make([]string, 100_000)
	for i := range items {
		items[i] = "item number " + strconv.Itoa(i)
	}
	for _, command := range []string{"cat", "sed -u ''", "sort -s -k 3 -n", "tee /dev/stderr"} {
		got, err := launch(t).pipe(command)(t.Context(), items)
		if !slices.Equal(got, items) || err != nil {
			t.Errorf("%s: %d lines, %v", command, len(got), err)
		}
	}
}

func TestItemsWithNewlinesFailAlone(t *testing.T) {
	l := launch(t)
	for _, c := range []struct{ items, want []string }{
		{[]string{"a", "b\nc", "d", "\n"}, []string{"A", "", "D", ""}},
		{[]string{"a\nb"}, []string{""}},
	} {
		got, err := l.pipe("tr a-z A-Z")(t.Context(), c.items)
		var bad workers.Errors
		if !errors.As(err, &bad) || !slices.Equal(got, c.want) {
			t.Fatalf("got %q, %v", got, err)
		}
		for i, item := range c.items {
			if strings.Contains(item, "\n") != (bad[i] != nil) {
				t.Errorf("%q: %v", item, bad[i])
			}
		}
		for i := range maps.Keys(bad) {
			wantError(t, bad[i], "contains a newline")
		}
	}
	_, err := calls(l, "cat")[Coproc](t.Context(), "a\n")
	wantError(t, err, "contains a newline")
}

func TestFilterGoesByTheExitStatus(t *testing.T) {
	for command, want := range map[string]struct {
		keep bool
		err  string
	}{
		"true":                       {true, ""},
		"false":                      {false, ""},
		"grep -q i":                  {true, ""},
		"grep -q z":                  {false, ""},
		"read x; test $x = item":     {true, ""},
		"echo noise; exit 1":         {false, ""},
		"exit 2":                     {false, "exit status 2"},
		"echo sorry >&2; exit 3":     {false, "exit status 3: sorry"},
		"kill -9 $$":                 {false, "signal: killed"},
		"head -c 80000000 /dev/zero": {true, ""},
	} {
		keep, err := launch(t).filter(withoutPlaceholders(command))(t.Context(), "item")
		if keep != want.keep || (err == nil) != (want.err == "") || err != nil && !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: got %v, %v", command, keep, err)
		}
	}
}

func TestFlatHasAValueForEachLine(t *testing.T) {
	for command, want := range map[string][]string{
		"true":             nil,
		"cat":              {"item"},
		"printf 'a\\nb'":   {"a", "b"},
		"printf 'a\\n\\n'": {"a", ""},
		"echo":             {""},
		"printf '\\n\\n'":  {"", ""},
	} {
		values, err := launch(t).flat(withoutPlaceholders(command))(t.Context(), "item")
		if !slices.Equal(values, want) || err != nil {
			t.Errorf("%s: got %q, %v, want %q", command, values, err, want)
		}
	}
	if _, err := launch(t).flat(withoutPlaceholders("echo a; exit 1"))(t.Context(), "item"); err == nil || err.Error() != "exit status 1" {
		t.Errorf("a failed command: %v", err)
	}
}
