package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

func results(values ...any) <-chan []Result {
	ch := make(chan []Result, len(values))
	for _, v := range values {
		switch v := v.(type) {
		case string:
			ch <- []Result{{Value: codec.Item(v)}}
		case error:
			ch <- []Result{{Err: v}}
		}
	}
	close(ch)
	return ch
}

func TestPrinter(t *testing.T) {
	bad := &executor.ItemError{Code: "error", Message: "two\nlines", Function: "f"}
	slow := &executor.ItemError{Code: "timeout", Message: "timeout: it took too long", Function: "f"}
	lost := errors.New("the queue is gone")
	for _, c := range []struct {
		errors      ErrorPolicy
		in          []any
		out, stderr string
		err         string
	}{
		{Skip, []any{"a", "b"}, "a\nb\n", "", ""},
		{Skip, []any{"a", bad, "b"}, "a\nb\n", "", "1 of 3 items failed: line 2: f: two lines"},
		{Skip, []any{"a", bad, slow}, "a\n", "", "2 of 3 items failed, the first: line 2: f: two lines"},
		{Skip, []any{slow}, "", "", "1 of 1 items failed: line 1: f: timeout: it took too long"},
		{Inline, []any{"a", bad, "b"}, "a\nline 2: f: two lines\nb\n", "", "1 of 3 items failed"},
		{Stop, []any{"a", bad, "b"}, "a\n", "", "1 of 2 items failed: line 2: f: two lines"},
		{Skip, []any{"a", lost}, "a\n", "", "the queue is gone"},
	} {
		var out, stderr strings.Builder
		p := Printer{Out: &out, Console: NewConsole(&stderr), Name: "x", Errors: c.errors}
		err := p.Print(t.Context(), results(c.in...))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if out.String() != c.out || stderr.String() != c.stderr || text != c.err {
			t.Errorf("%v: stdout %q, stderr %q, error %q", c, out.String(), stderr.String(), text)
		}
	}
}

func TestPrinterReportsEachFailure(t *testing.T) {
	var out, stderr strings.Builder
	p := Printer{Out: &out, Console: NewConsole(&stderr), Name: "x", Errors: Skip, Each: true}
	bad := &executor.ItemError{Code: "decode", Message: "no number", Function: "f"}
	err := p.Print(t.Context(), results(bad, "b", bad))
	if want := "x: line 1: decode: f: no number\nx: line 3: decode: f: no number\n"; stderr.String() != want {
		t.Errorf("%q, not %q", stderr.String(), want)
	}
	if out.String() != "b\n" || err == nil {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// A message has the beginning of the failed item, without control characters.
func TestFailureShowsItsItem(t *testing.T) {
	for _, c := range []struct{ item, want string }{
		{"a b", `line 1: f: bad: "a b"`}, {"", `line 1: f: bad: ""`}, {"\x1b[31mé", `line 1: f: bad: "\x1b[31mé"`},
		{strings.Repeat("é", 60), `line 1: f: bad: "` + strings.Repeat("é", 60) + `"`},
		{strings.Repeat("𝄞", 61), `line 1: f: bad: "` + strings.Repeat("𝄞", 60) + `"...`},
		{strings.Repeat("x", 1<<20), `line 1: f: bad: "` + strings.Repeat("x", 60) + `"...`},
	} {
		var out strings.Builder
		p := Printer{Out: &out, Console: NewConsole(&strings.Builder{}), Errors: Skip}
		failed := &executor.ItemError{Code: "error", Message: "bad", Function: "f", Input: []byte(c.item)}
		if err := p.Print(t.Context(), results(failed)); err == nil || err.Error() != "1 of 1 items failed: "+c.want {
			t.Errorf("%.70q: %v", c.item, err)
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestClosedStdoutIsAnError(t *testing.T) {
	p := Printer{Out: closedPipe{}, Console: NewConsole(&strings.Builder{}), Errors: Skip}
	var output OutputError
	if err := p.Print(t.Context(), results("a")); !errors.As(err, &output) || !output.Closed() {
		t.Errorf("got %v", err)
	}
}

// A stuck writer blocks until the channel is closed, and then fails.
type stuck chan struct{}

func (s stuck) Write([]byte) (int, error) {
	<-s
	return 0, syscall.EPIPE
}

func TestBlockedWriteEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		out := make(stuck)
		defer close(out)
		results := make(chan []Result, 100)
		for range cap(results) {
			results <- []Result{{Value: make(codec.Item, outputSize)}}
		}
		p := Printer{Out: out, Console: NewConsole(&strings.Builder{}), Errors: Skip}
		ended := make(chan error)
		go func() { ended <- p.Print(ctx, results) }()
		synctest.Wait()
		if len(results) == 0 {
			t.Error("it has taken all results while nothing was written")
		}
		cancel(Stopped{syscall.SIGTERM})
		if err := <-ended; !errors.As(err, &Stopped{}) {
			t.Errorf("got %v", err)
		}
	})
}

// A limited writer fails after a number of bytes.
type limited struct {
	text strings.Builder
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.left, len(p))
	l.left -= n
	l.text.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestFailedWriteIsTheLast(t *testing.T) {
	line := strings.Repeat("x", 999)
	for _, limit := range []int{0, 1, 1000, outputSize - 1, outputSize, outputSize + 2500, 3*outputSize + 17} {
		var values []any
		for range 400 {
			values = append(values, line)
		}
		out := &limited{left: limit}
		p := Printer{Out: out, Console: NewConsole(&strings.Builder{}), Errors: Skip, Remedy: "try again"}
		err := p.Print(t.Context(), results(append(values, errors.New("the queue is gone"))...))
		want := fmt.Sprintf("write stdout: no space left on device; lines written: %d; try again", limit/1000)
		if err == nil || err.Error() != want || out.text.Len() != limit {
			t.Errorf("limit %d: %d bytes, %v", limit, out.text.Len(), err)
		}
	}
}

func TestPartialLineIsRemoved(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct{ written, left string }{
		{"one\ntw", "one\n"}, {"o", ""}, {"one\n", "one\n"}, {"one\ntwo\n", "one\ntwo\n"},
	} {
		_, err = f.WriteAt([]byte(c.written), 0)
		_, sought := f.Seek(int64(len(c.written)), 0)
		if err := errors.Join(err, sought); err != nil {
			t.Fatal(err)
		}
		trimPartialLine(f, '\n', []byte(c.written))
		if text, err := os.ReadFile(f.Name()); string(text) != c.left || err != nil {
			t.Errorf("%q of %q, %v", text, c.written, err)
		}
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
	}
	// The lines of another process, which come after, stay.
	if _, err := f.WriteAt([]byte("one\ntwthree\n"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(6, 0); err != nil {
		t.Fatal(err)
	}
	trimPartialLine(f, '\n', []byte("one\ntw"))
	if text, err := os.ReadFile(f.Name()); string(text) != "one\ntwthree\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestProgressLine(t *testing.T) {
	begin := time.Now()
	for name, c := range map[string]struct {
		look  Look
		ended bool
		size  int64 // of the file, of which 300 bytes were read
		want  string
	}{
		"plain":         {Plain, false, 0, "100 done, 50/s, 50 in flight, 3 failed"},
		"plain ended":   {Plain, true, 0, "100 done, 50/s, 3 failed"},
		"progress":      {Fraction, true, 0, "100 of 150 done, 50/s, 3 failed"},
		"eta":           {ETA, true, 0, "100 of 150 done, ETA 1s, 50/s, 3 failed"},
		"eta of a pipe": {ETA, false, 0, "100 done, ETA ?, 50/s, 50 in flight, 3 failed"},
		"eta of a file": {ETA, false, 600, "100 of ~300 done, ETA 4s, 50/s, 50 in flight, 3 failed"},
		"bar":           {Bar, true, 0, " 67% [######   ] 100 of 150 done, ETA 1s, 3 failed"},
		"bar of a file": {Bar, false, 600, " 33% [##      ] 100 of ~300 done, ETA 4s, 3 failed"},
		"bar of a pipe": {Bar, false, 0, "100 done, ETA ?, 3 failed"},
	} {
		in := &Input{source: &Source{size: c.size}}
		in.sent.Store(150)
		in.ended.Store(c.ended)
		in.source.read.Store(300)
		p := &Progress{Look: c.look, Input: in, begin: begin, samples: []sample{{at: begin}}}
		if got := p.lineAt(begin.Add(2*time.Second), 100, 3, 50); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	p := &Progress{Look: Bar, Input: &Input{}, begin: begin, samples: []sample{{at: begin}}}
	p.Input.sent.Store(10)
	p.Input.ended.Store(true)
	if got, want := p.lineAt(begin.Add(time.Second), 5, 0, 20), " 50% 5 of 10 done, ETA 1s, 0 failed"; got != want {
		t.Errorf("narrow: %q, not %q", got, want)
	}
}

func TestOutputReplacesTheStatusLine(t *testing.T) {
	var screen strings.Builder
	c := NewConsole(&screen)
	c.Status("1 done")
	if _, err := c.Write([]byte("a warning\n")); err != nil {
		t.Fatal(err)
	}
	c.Status("2 done")
	c.Clear()
	c.Clear()
	want := eraseLine + "1 done" + eraseLine + "a warning\n" + eraseLine + "2 done" + eraseLine
	if screen.String() != want {
		t.Errorf("%q, not %q", screen.String(), want)
	}
}

func TestPrintedValueNeedsNoAllocation(t *testing.T) {
	const n = 10_000
	all := make([]Result, n)
	for i := range all {
		all[i].Value = codec.Item("value")
	}
	allocs := testing.AllocsPerRun(5, func() {
		results := make(chan []Result, 1)
		results <- all
		close(results)
		p := Printer{Out: io.Discard, Console: NewConsole(io.Discard), Errors: Skip, Records: &FunctionRecords{Single: true}}
		if err := p.Print(t.Context(), results); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > n/10 {
		t.Errorf("%.0f allocations for %d values", allocs, n)
	}
}
