package pages

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTokenIsFirstLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{"0123456789abcdef\nmore\n": "0123456789abcdef", " 0123456789abcdef \r\n": "0123456789abcdef", "short\n": "", "": ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readToken(file); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := readToken(file + ".missing"); err == nil {
		t.Error("a missing file is accepted")
	}
}
