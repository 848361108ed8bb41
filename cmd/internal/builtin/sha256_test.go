package builtin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sha256sum returns the output of the program sha256sum: its stdout and its stderr.
func sha256sum(t *testing.T, path string) (line, complaint string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("sha256sum", "--", path)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && stderr.Len() == 0 {
		t.Fatal(err)
	}
	return strings.TrimSuffix(stdout.String(), "\n"), strings.TrimSuffix(stderr.String(), "\n")
}

func TestSha256fileEqualsSha256sum(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"plain": "content", "empty": "", "big": strings.Repeat("0123456789", 100_000),
		"a b": "1", " ": "2", "tab\t": "3", `back\slash`: "4", "new\nline": "5", "cr\r": "6", "\\\n\r\\n": "7",
		"--version": "8", "-c": "9", "*": "10", "'": "11", `"`: "12", "ü": "13", "\xff": "14", "\x01": "15", "$(x)": "16",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		full, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{name, "./" + name, full} {
			want, _ := sha256sum(t, path)
			if got, err := sha256file(t.Context(), path); got != want || err != nil {
				t.Errorf("%q: got %q, %v, want %q", path, got, err, want)
			}
		}
	}
}

func TestSha256fileFailsAsSha256sum(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, dir + "/missing", plain + "/below", "/proc/self/mem", dir + strings.Repeat("/x", 3000)} {
		got, err := sha256file(t.Context(), path)
		if _, want := sha256sum(t, path); err == nil || err.Error() != want || got != "" {
			t.Errorf("%q: got %q, %v, want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"", "-", "nul\x00"} {
		if got, err := sha256file(t.Context(), path); err == nil {
			t.Errorf("%q: got %q", path, got)
		}
	}
}
