package command

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Spec{
		"host=pipe:awk '{print $1}'":        {Name: "host", Kind: Pipe, Command: "awk '{print $1}'"},
		"a.b-C_9=exec: x=y:z ":              {Name: "a.b-C_9", Kind: Exec, Command: " x=y:z "},
		"n=coproc:sed -u\ns/a/b/":           {Name: "n", Kind: Coproc, Command: "sed -u\ns/a/b/"},
		"n=filter:test {} -gt 3":            {Name: "n", Kind: Filter, Command: "test {} -gt 3"},
		"n=flat:tar tf {}":                  {Name: "n", Kind: Flat, Command: "tar tf {}"},
		"n=exec:cp {} {.}":                  {Name: "n", Kind: Exec, Command: "cp {} {.}"},
		strings.Repeat("n", 64) + "=exec:x": {Name: strings.Repeat("n", 64), Kind: Exec, Command: "x"},
	} {
		got, err := Parse(text)
		got.template = nil
		if !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "not NAME=KIND:COMMAND",
		"host":                              "not NAME=KIND:COMMAND",
		"=exec:x":                           `the name ""`,
		"a b=exec:x":                        `the name "a b"`,
		"a\n=exec:x":                        `the name "a\n"`,
		"ü=exec:x":                          "A-Z a-z 0-9 . _ -",
		strings.Repeat("n", 65) + "=exec:x": "1 to 64",
		"a=exe:x":                           `"exe" is not exec:, exec0:, filter:, flat:, pipe:, coproc: or coproc+id: (nearest: exec:)`,
		"a=fliter:x":                        "(nearest: filter:)",
		"a=flt:x":                           "(nearest: flat:)",
		"a=flat":                            "flat: has no command",
		"a=filter: ":                        "filter: has no command",
		"a=filter:test $(({} + 1))":         "{} after $((...)) cannot be quoted safely",
		"a=Pipe:x":                          "nearest: pipe:",
		"a=corpoc:x":                        "nearest: coproc:",
		"a=awk '{print $1}'":                "is not exec:, exec0:, filter:, flat:, pipe:, coproc: or coproc+id:",
		"a=shell:x":                         "is not exec:, exec0:, filter:, flat:, pipe:, coproc: or coproc+id:",
		"a=":                                `"" is not exec:, exec0:, filter:, flat:, pipe:, coproc: or coproc+id:`,
		"a=exec":                            "exec: has no command",
		"a=pipe: \t\n":                      "pipe: has no command",
		"a=exec:x\x00y":                     "NUL",
		"a=pipe:wc {}":                      "no item can stand for {}: use exec:",
		"a=coproc:'{//}'":                   "no item can stand for {//}: use exec:",
		"a=exec:cat <<X\n{}\nX":             "{} after << cannot be quoted safely",
	} {
		got, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || !reflect.DeepEqual(got, Spec{}) {
			t.Errorf("%q: got %+v, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "=", ":", "a=exec:x", "a=pipe:awk '{print $1}'", "a=coproc:", "a=pip:x=y:z", "ü=exec:x", "a=exec:\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !reflect.DeepEqual(s, Spec{}) || err.Error() == "" {
				t.Fatalf("got %+v with %q", s, err)
			}
			return
		}
		if s.Name+"="+string(s.Kind)+":"+s.Command != text {
			t.Fatalf("%q became %+v", text, s)
		}
		if !goodName.MatchString(s.Name) || !slices.Contains(kinds, s.Kind) || strings.TrimSpace(s.Command) == "" {
			t.Fatalf("%q passed as %+v", text, s)
		}
	})
}
