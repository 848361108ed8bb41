package cli

import "testing"

func TestTextForTerminalHasNoControls(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\tb": "a\tb", "a\r\nb\nc": "a b c", "\x1b[2J\x07": `\x1b[2J\x07`, "\u009b1m": `\x9b1m`, "\xff": "\uFFFD", "漢": "漢",
		"file\u202Etxt": `file\u202etxt`, "\u2066x\u2069": `\u2066x\u2069`, "a\u2028b": `a\u2028b`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
}
