package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// readAll returns copies of all lines.
func readAll(t testing.TB, r io.Reader, limit int) (lines [][]byte) {
	t.Helper()
	for line, err := range linesUpTo(r, '\n', limit) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.Clone(line))
	}
	return lines
}

// The lines, joined again, are the input.
func FuzzLines(f *testing.F) {
	for _, text := range []string{"", "\n", "a", "a\n", "a\n\nb", "a\r\nb", "\x00\xff\n", strings.Repeat("x", 300)} {
		f.Add([]byte(text), uint8(100))
	}
	f.Fuzz(func(t *testing.T, text []byte, limit uint8) {
		var want [][]byte
		for part := range bytes.Lines(text) {
			part = bytes.TrimSuffix(part, []byte("\n"))
			want = append(want, part[:min(len(part), int(limit)+1)])
		}
		for _, r := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
			if got := readAll(t, r, int(limit)); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("%q in lines of at most %d: %q, not %q", text, limit, got, want)
			}
		}
	})
}

func TestLinesAreNotOverwritten(t *testing.T) {
	text := strings.Repeat("a line of some length\n", 100_000)
	var lines [][]byte
	for line, err := range Lines(strings.NewReader(text), '\n') {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line) // not a copy
	}
	if joined := string(bytes.Join(lines, []byte("\n"))) + "\n"; joined != text {
		t.Error("a line was overwritten while it was kept")
	}
}

func TestReadErrorComesLast(t *testing.T) {
	broken := errors.New("broken")
	in := Feed(t.Context(), nil, nil, nil, Items(Lines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), '\n')))
	var got []string
	for items := range in.Items {
		for _, item := range items {
			got = append(got, string(item))
		}
	}
	if !slices.Equal(got, []string{"a", "b"}) || !errors.Is(in.Err(), broken) || in.Sent() != 2 {
		t.Errorf("%q, %d read, %v", got, in.Sent(), in.Err())
	}
}

// Feed reads few large lines ahead of the receiver.
func TestFeedIsBoundedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, most = 1 << 20, 8 << 20
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		gave := 0
		in := Feed(ctx, nil, nil, nil, func(yield func(codec.Item, error) bool) {
			for line := make([]byte, size); yield(line, nil); gave += size {
			}
		})
		for range 3 {
			synctest.Wait()
			if ahead := gave - int(in.Sent())*size; ahead > most {
				t.Errorf("%d bytes were read ahead", ahead)
			}
			<-in.Items
		}
	})
}
