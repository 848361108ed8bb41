package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyLoopbackNeedsNoToken(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:8787": true, "localhost:0": true, "[::1]:1": true, "127.9.9.9:80": true,
		":8787": false, "0.0.0.0:8787": false, "[::]:8787": false, "10.0.0.1:80": false, "ops.example.com:80": false, "nonsense": false, "localhost.example.com:80": false,
	} {
		if isLoopback(address) != want {
			t.Errorf("%s is of the loopback: %v", address, !want)
		}
	}
}

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
