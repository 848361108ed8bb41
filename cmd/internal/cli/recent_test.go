package cli

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/dqbridge/dqbridge/internal/codec"
)

func TestLatestLinesAreKept(t *testing.T) {
	var r Recent
	offset := int64(0)
	for i := range 40_000 {
		lines := []codec.Item{fmt.Appendf(nil, "line %d", offset), {}, bytes.Repeat([]byte{byte(i)}, 200)}
		r.add(lines)
		offset += 3
		if got := r.line(offset - 3); string(got) != string(lines[0]) {
			t.Fatalf("the last line is %q", got)
		}
		if r.bytes > recentBytes {
			t.Fatalf("%d bytes are kept", r.bytes)
		}
	}
	if got := r.line(offset - 2); got == nil || len(got) > 0 {
		t.Errorf("an empty line is %v", got)
	}
	if got := r.line(offset - 1); len(got) != 200 {
		t.Errorf("a line of 200 bytes has %d", len(got))
	}
	for _, missing := range []int64{0, -1, offset} {
		if got := r.line(missing); got != nil {
			t.Errorf("line %d is %q", missing, got)
		}
	}
	kept := 0
	for at := range offset {
		if r.line(at) != nil {
			kept++
		}
	}
	if kept < 3*20_000 {
		t.Errorf("%d of %d lines are kept", kept, offset)
	}
	r.add([]codec.Item{bytes.Repeat([]byte("x"), 1<<20)})
	if got := r.line(offset); len(got) != recentLine {
		t.Errorf("of a huge line, %d bytes are kept", len(got))
	}
}

// Lines that a slow input delivers one by one take no more memory than many lines at once.
func TestSingleLinesShareChunks(t *testing.T) {
	var r Recent
	for i := range 300_000 {
		r.add([]codec.Item{fmt.Appendf(nil, "%d", i)})
	}
	if most := recentBytes/recentChunk + 1; len(r.chunks) > most {
		t.Errorf("%d chunks", len(r.chunks))
	}
	if got := r.line(299_999); string(got) != "299999" {
		t.Errorf("the last line is %q", got)
	}
}
