package command

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSimpleWords(t *testing.T) {
	for line, want := range map[string][]string{
		"cat":                      {"cat"},
		" sed -u  s/a/b/\t":        {"sed", "-u", "s/a/b/"},
		"awk '{print $1}'":         {"awk", "{print $1}"},
		`x "a  b" 'c d'e\ f ""`:    {"x", "a  b", "c de f", ""},
		`x 'it'"'"'s' "\$\"\\\n"`:  {"x", "it's", `$"\\n`},
		"dd if=/dev/zero bs=1":     {"dd", "if=/dev/zero", "bs=1"},
		`x \$HOME \' \;`:           {"x", "$HOME", "'", ";"},
		"x 'a\nb' \"c\nd\"":        {"x", "a\nb", "c\nd"},
		`bash -c "wc 'a  b'"`:      {"bash", "-c", "wc 'a  b'"},
		"/bin/cat -- -":            {"/bin/cat", "--", "-"},
		"x '$(y)' '`z`' '*' '~' #": nil,
	} {
		got, ok := simpleWords(line)
		if !slices.Equal(got, want) || ok != (want != nil) {
			t.Errorf("%s: got %q, %v, want %q", line, got, ok, want)
		}
	}
}

func TestLinesThatNeedAShell(t *testing.T) {
	for _, line := range []string{
		"", " ", "a|b", "a;b", "a&", "a&&b", "a>b", "a<b", "a\nb", "$x", `"$x"`, "a$(b)", "`a`", "a *", "a ?", "a [b]", "a ~", "{a,b}",
		"a {b}", "!a", "a #b", "A=b c", "a=b", "'a", `"a`, `a\`, "a \\\nb", "\"a\\\nb\"", "(a)", "a()", "echo a", "test x", "[ x ]", "exec cat",
		"if", "true", "'cd' x", "''", "a\x00b", "ü", "a ^b",
	} {
		if words, ok := simpleWords(line); ok {
			t.Errorf("%q: got %q", line, words)
		}
	}
}

// simpleWords returns the same arguments as a shell.
func FuzzSimpleWords(f *testing.F) {
	for _, seed := range append([]string{`a 'b' "c" d\e`, `"a\"b" 'c'"'"'d'`, `a b=c -d --e=f @g %h +i :j,k ./l`}, values...) {
		f.Add(seed)
	}
	script := filepath.Join(f.TempDir(), "args")
	if out, err := exec.Command("sh", "-c", `printf '#!/bin/sh\nprintf "%%s\\0" "$@"\n' >"$0"; chmod +x "$0"`, script).CombinedOutput(); err != nil {
		f.Fatalf("%v: %s", err, out)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, ok := simpleWords(script + " " + text)
		if !ok || strings.Contains(text, "\x00") {
			return
		}
		out, err := exec.Command("sh", "-c", script+" "+text).Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || len(words) > 1 && !slices.Equal(got, words[1:]) {
			t.Errorf("%q: words %q, the shell has %q, %v", text, words[1:], got, err)
		}
	})
}
