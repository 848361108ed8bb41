package command

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func mustTemplate(t *testing.T, command string) template {
	t.Helper()
	parsed, err := parseTemplate(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return parsed
}

func TestPlaceholderValues(t *testing.T) {
	for item, want := range map[string][4]string{ // {.} {/} {//} {/.}
		"a/b.tar.gz": {"a/b.tar", "b.tar.gz", "a", "b.tar"},
		"b.c":        {"b", "b.c", ".", "b"},
		"/b":         {"/b", "b", "/", "b"},
		"a.b/c":      {"a.b/c", "c", "a.b", "c"},
		"a/b/":       {"a/b/", "", "a", ""},
		"a//b":       {"a//b", "b", "a", "b"},
		"/":          {"/", "", "/", ""},
		".rc":        {"", ".rc", ".", ""},
		"a.":         {"a", "a.", ".", "a"},
		"":           {"", "", ".", ""},
	} {
		of := target{item: item, number: 7, slot: 2}
		for i, place := range []string{"{.}", "{/}", "{//}", "{/.}"} {
			if got := of.value(place); got != want[i] {
				t.Errorf("%s of %q: got %q, want %q", place, item, got, want[i])
			}
		}
		if of.value("{}") != item || of.value("{#}") != "7" || of.value("{%}") != "2" {
			t.Errorf("%q: %q %q %q", item, of.value("{}"), of.value("{#}"), of.value("{%}"))
		}
	}
}

// values are items with a special meaning for a shell, at any position of a word.
var values = append([]string{
	"plain", "two words", "it's", "''", "'", "a'b'c", "$(touch pwned)", "`touch pwned`", "${HOME}", "$((1+1))", `\`, `\\`, `a\`, `"`, `"; touch pwned; "`,
	"'; touch pwned; '", "\n", "a\nb", "\n\n", "# no comment", "~", "*", "?", "[a-z]", "{a,b}", "{}", "{.}", "!x", "a=b", "<x", ">x", "&", "|", ";", "(", ")",
	"-n", "--help", "\t", "\x81\x82\x88", "\xff", "if", "ü", "'\"'\"'", "\\'", "a;b`c`$d\"e'f\\g",
}, slices.DeleteFunc(slices.Clone(hostile), func(item string) bool { return strings.Contains(item, "\x00") || len(item) > 1000 })...)

// A shell reads any value as one word, at any position of the placeholder.
func TestValueIsOneWord(t *testing.T) {
	for _, command := range []string{
		"printf '=%s=' {}",
		"printf =%s= {}; true # it's {} in a comment",
		"x={}; printf '=%s=' \"$x\"",
		"x=$(printf '%s.' {}); printf '=%s=' \"${x%.}\"",
		"printf '=%s=' \"$(printf '%s.' {})\"",
		"(printf '=%s=' {})",
		"case {} in *) printf '=%s=' {};; esac",
		"f() { printf '=%s=' \"$1\"; }; f {}",
		"printf '=%s=' \\\n {}",
		"sh -c \"printf '=%s=' {}\"",
		"sh -c 'printf \"=%s=\" {}'",
		"sh -c 'x=\"$(printf %s. {})\"; printf \"=%s=\" \"${x%.}\"'",
		"if [ {} = {} ]; then printf '=%s=' {}; fi",
	} {
		parsed := mustTemplate(t, command)
		var lines, want strings.Builder
		for _, value := range values {
			line, err := parsed.expand(target{item: value})
			if err != nil {
				t.Fatal(err)
			}
			lines.WriteString(line + "\n")
			if strings.Contains(command, "printf '%s.' {})\"") {
				value += "."
			}
			want.WriteString("=" + value + "=")
		}
		for _, shell := range []string{"sh", "bash"} {
			out, err := exec.Command(shell, "-c", lines.String()).Output()
			if string(out) != want.String() || err != nil {
				t.Errorf("%s with %s: got %q, %v, want %q", command, shell, out, err, want.String())
			}
		}
	}
}

func TestPlaceholdersAreQuotedForAShellWithinQuotes(t *testing.T) {
	for command, want := range map[string]string{
		`echo "{}"`:           `'a  b'`,
		`echo '{}'`:           `'a  b'`,
		`echo "{#}"'{%}'{#}`:  `727`,
		`echo "x{}y"`:         `x'a  b'y`,
		`echo $(({#}+{%}))`:   `9`,
		`printf %s {}{}`:      `a  ba  b`,
		`echo {} ${HOME+set}`: `a  b set`,
	} {
		line, err := mustTemplate(t, command).expand(target{item: "a  b", number: 7, slot: 2})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", line).Output()
		if got := strings.TrimSuffix(string(out), "\n"); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", line, got, err, want)
		}
	}
}

func TestUnsafePlaceholdersAreRefused(t *testing.T) {
	for command, construct := range map[string]string{
		"cat <<EOF\n{}\nEOF":                      "<<",
		"echo `echo {}`":                          "`...`",
		"echo `date` {.}":                         "`...`",
		"echo \"`date` {}\"":                      "`...`",
		"echo $(({}+1))":                          "$((...))",
		"echo ${x:-{}}":                           "${...}",
		"echo \"${x:-'}\" {}":                     "${...}",
		"echo $'\\'' {}":                          "$'...'",
		"echo \"$(case x in x) echo {};; esac)\"": "case within $(...)",
		"echo $(cat <<'E'\n'\nE\n) '{}'":          "<<",
	} {
		_, err := parseTemplate(command)
		wantError(t, err, "after "+construct+" cannot be quoted safely")
	}
	if _, err := mustTemplate(t, "echo {}").expand(target{item: "a\x00b"}); err == nil {
		t.Error("a NUL byte became a part of a command")
	}
}

func TestTextWithoutPlaceholdersIsUnchanged(t *testing.T) {
	for _, command := range []string{"cat", "awk '{print $1}'", "f() { :; }", "echo {a,b}", "echo ${x}", "# it's {}", "echo '", `echo "`, `\`, "${"} {
		parsed := mustTemplate(t, command)
		if line, err := parsed.expand(target{}); parsed.takesItem() || line != command || err != nil {
			t.Errorf("%q became %q, %v", command, line, err)
		}
	}
}

func TestSlotsAreTheLowestFreeNumbers(t *testing.T) {
	var s slots
	first, second := s.take(), s.take()
	s.release(first)
	if again, third := s.take(), s.take(); first != 1 || second != 2 || again != 1 || third != 3 {
		t.Errorf("got %d, %d, %d, %d", first, second, again, third)
	}
}

func FuzzPlaceholders(f *testing.F) {
	for _, value := range values {
		f.Add(value)
	}
	parsed, err := parseTemplate(`printf %s {}; sh -c "printf %s {}"; sh -c 'printf %s {}'`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, "\x00") || len(value) > 1000 {
			return
		}
		line, err := parsed.expand(target{item: value})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("sh", "-c", line).Output(); string(out) != value+value+value || err != nil {
			t.Errorf("%q became %q, %v", value, out, err)
		}
	})
}
