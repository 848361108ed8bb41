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
	lost := errors.New("the queue is gone")
	for _, c := range []struct {
		errors    Errors
		in        []any
		out, told string
		err       string
	}{
		{Skip, []any{"a", "b"}, "a\nb\n", "", ""},
		{Skip, []any{"a", bad, "b"}, "a\nb\n", "x: line 2: f: two lines\n", "1 of 3 items failed"},
		{Inline, []any{"a", bad, "b"}, "a\nline 2: f: two lines\nb\n", "", "1 of 3 items failed"},
		{Stop, []any{"a", bad, "b"}, "a\n", "", "line 2: f: two lines"},
		{Skip, []any{"a", lost}, "a\n", "", "the queue is gone"},
		{Skip, []any{bad}, "", "x: line 1: f: two lines\n", "1 of 1 item failed"},
	} {
		var out, told strings.Builder
		p := Printer{Out: &out, Console: NewConsole(&told), Name: "x", Errors: c.errors, Listed: 10}
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
