package main

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

//go:embed planets.csv
var planets string

// A program that takes an address can be tested on miniredis. The tasks wait until a worker comes, Saturn succeeds with
// its second attempt, and Vulcan fails for good.
func TestTasks(t *testing.T) {
	address := "redis://" + miniredis.RunT(t).Addr()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	if err := enqueue(ctx, address, strings.NewReader(planets)); err != nil {
		t.Fatal(err)
	}
	var looked bytes.Buffer
	if err := inspect(ctx, address, &looked); err != nil || looked.String() != "gravity: 9 waiting, 9 added\ngravity.done: 0 waiting, 0 added\n" {
		t.Errorf("%v: %s", err, &looked)
	}
	out, in := io.Pipe()
	go func() { ended <- work(ctx, address) }()
	go func() { ended <- watch(ctx, address, in) }()
	got := firstLines(t, out, 9)
	slices.Sort(got)
	want := strings.Fields("Earth Jupiter Mars Mercury Neptune Saturn Uranus Venus failed")
	for i, line := range got {
		if !strings.HasPrefix(line, want[i]+":") || strings.HasSuffix(line, "attempts: 2") != (want[i] == "Saturn") {
			t.Errorf("line %d is %q", i, line)
		}
	}
	if failed := got[len(got)-1]; failed != "failed: gravity: nothing is known of Vulcan" {
		t.Error(failed)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

// firstLines reads n lines.
func firstLines(t *testing.T, out io.Reader, n int) (lines []string) {
	t.Helper()
	var text []byte
	for buffer := make([]byte, 1024); len(lines) < n; {
		read, err := out.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, buffer[:read]...)
		lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	return lines
}
