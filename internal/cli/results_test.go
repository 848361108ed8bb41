package cli

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

func results(values ...any) <-chan bridge.Result[codec.Item] {
	ch := make(chan bridge.Result[codec.Item], len(values))
	for _, v := range values {
		switch v := v.(type) {
		case string:
			ch <- bridge.Result[codec.Item]{Value: codec.Item(v)}
		case error:
			ch <- bridge.Result[codec.Item]{Err: v}
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
		errors    Errors
		in        []any
		out, told string
		err       string
	}{
		{Skip, []any{"a", "b"}, "a\nb\n", "", ""},
		{Skip, []any{"a", bad, "b"}, "a\nb\n", "", "1 of 3 items failed: line 2: f: two lines"},
		{Skip, []any{"a", bad, slow}, "a\n", "", "2 of 3 items failed, the first: line 2: f: two lines"},
		{Skip, []any{slow}, "", "", "1 of 1 items failed: line 1: f: timeout: it took too long"},
		{Inline, []any{"a", bad, "b"}, "a\nline 2: f: two lines\nb\n", "", "1 of 3 items failed"},
		{Stop, []any{"a", bad, "b"}, "a\n", "", "1 of 2 items failed: line 2: f: two lines"},
		{Skip, []any{"a", lost}, "a\n", "", "the queue is gone"},
	} {
		var out, told strings.Builder
		p := Printer{Out: &out, Console: NewConsole(&told), Name: "x", Errors: c.errors}
		err := p.Print(t.Context(), results(c.in...))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if out.String() != c.out || told.String() != c.told || text != c.err {
			t.Errorf("%v: out %q, told %q, error %q", c, out.String(), told.String(), text)
		}
	}
}

func TestPrinterTellsEachFailure(t *testing.T) {
	var out, told strings.Builder
	p := Printer{Out: &out, Console: NewConsole(&told), Name: "x", Errors: Skip, Each: true}
	bad := &executor.ItemError{Code: "decode", Message: "no number", Function: "f"}
	err := p.Print(t.Context(), results(bad, "b", bad))
	if want := "x: line 1: decode: f: no number\nx: line 3: decode: f: no number\n"; told.String() != want {
		t.Errorf("%q, not %q", told.String(), want)
	}
	if out.String() != "b\n" || err == nil {
		t.Errorf("%q, %v", out.String(), err)
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestAClosedStdoutIsNoFailure(t *testing.T) {
	p := Printer{Out: closedPipe{}, Console: NewConsole(&strings.Builder{}), Errors: Skip}
	if err := p.Print(t.Context(), results("a")); !errors.Is(err, ErrOutputClosed) {
		t.Errorf("got %v", err)
	}
}

func TestProgressLine(t *testing.T) {
	begin := time.Now()
	p := &Progress{Read: func() int64 { return 150 }, marks: []mark{{at: begin}}}
	if got, want := p.lineAt(begin.Add(2*time.Second), 100, 3), "100 done, 50/s, 50 in flight, 3 failed"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestAStatusLineGivesWay(t *testing.T) {
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
