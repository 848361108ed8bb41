package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/ahead"
	"github.com/dqbridge/dqbridge/internal/codec"
)

const (
	// MaxLine is how long a line may be. A longer one is cut to one byte more,
	// so that it is too large for an item wherever it comes.
	MaxLine = 64 << 20

	blockSize = 256 << 10
	leastRead = 16 << 10
)

// Lines reads lines without the byte that ends them, a newline or another one; the last one may have
// none. The receiver of a line may keep it, but not change it. An error of r is
// the last that comes.
func Lines(r io.Reader, end byte) iter.Seq2[[]byte, error] { return linesUpTo(r, end, MaxLine) }

func linesUpTo(r io.Reader, end byte, limit int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s := splitter{limit: limit, newline: end, yield: func(line []byte) bool { return yield(line, nil) }}
		for {
			s.grow()
			n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
			if !s.split(n) {
				return
			}
			if err == nil {
				continue
			}
			if !s.end() {
				return
			}
			if !errors.Is(err, io.EOF) {
				yield(nil, err)
			}
			return
		}
	}
}

// A splitter cuts what is read into lines where it lies: what was given away
// is never written again.
type splitter struct {
	limit    int
	newline  byte
	yield    func([]byte) bool
	buf      []byte // of the line that has begun
	skipping bool   // the rest of a line that is too long
}

// grow makes room to read into.
func (s *splitter) grow() {
	if cap(s.buf)-len(s.buf) >= leastRead {
		return
	}
	size := max(blockSize, min(2*len(s.buf), s.limit+blockSize))
	s.buf = append(make([]byte, 0, size), s.buf...)
}

// split takes n bytes that were read, and gives away the lines that end there.
func (s *splitter) split(n int) bool {
	from := len(s.buf)
	s.buf = s.buf[:from+n]
	for {
		i := bytes.IndexByte(s.buf[from:], s.newline)
		if i < 0 {
			return s.bound()
		}
		line := s.buf[: from+i : from+i]
		s.buf, from = s.buf[from+i+1:], 0
		if s.skipping {
			s.skipping = false
			continue
		}
		if !s.yield(line[:min(len(line), s.limit+1)]) {
			return false
		}
	}
}

// bound gives away the beginning of a line that is too long.
func (s *splitter) bound() bool {
	if s.skipping {
		s.buf = s.buf[:0]
		return true
	}
	if len(s.buf) <= s.limit {
		return true
	}
	line := s.buf[: s.limit+1 : s.limit+1]
	s.buf, s.skipping = nil, true
	return s.yield(line)
}

// end gives away a last line that no newline ends.
func (s *splitter) end() bool {
	return s.skipping || len(s.buf) == 0 || s.yield(s.buf)
}

// An Input is lines on their way into a queue.
type Input struct {
	// Items is closed behind the last line, and not where ctx has ended.
	Items <-chan []codec.Item

	source *Source
	recent *Recent // nil: not kept
	sent   atomic.Int64
	ended  atomic.Bool
	failed atomic.Pointer[error]
}

// Read returns how many lines have gone out so far.
func (in *Input) Read() int64 { return in.sent.Load() }

// total is how many items there are.
func (in *Input) total() total {
	read := in.sent.Load()
	if in.ended.Load() {
		return total{exact: read}
	}
	if in.source == nil {
		return total{}
	}
	return total{estimate: in.source.estimate(read)}
}

// Err returns why the lines ended before their end. It is known when Items is
// closed.
func (in *Input) Err() error {
	if err := in.failed.Load(); err != nil {
		return fmt.Errorf("read stdin: %w", *err)
	}
	return nil
}

// Feed sends items, until ctx ends or stop is closed, which ends the stream; a nil stop never does. It reads 256 items or
// 1 MiB ahead. Its goroutine is left behind in a read that does not return. The source is that of the items, nil if it is
// not known. The last lines go into recent, unless that is nil.
func Feed(ctx context.Context, stop <-chan struct{}, source *Source, recent *Recent, items iter.Seq2[codec.Item, error]) *Input {
	out := make(chan []codec.Item)
	in := &Input{Items: out, source: source, recent: recent}
	read := ahead.New(func(item codec.Item) int { return len(item) })
	go in.read(read, items)
	go in.send(ctx, stop, read, out)
	return in
}

// read gives what items brings.
func (in *Input) read(to *ahead.Buffer[codec.Item], items iter.Seq2[codec.Item, error]) {
	for item, err := range items {
		if err != nil {
			to.End(err)
			return
		}
		if !to.Give(item) {
			return
		}
	}
	to.End(nil)
}

// send sends what was read, and closes out behind it and when stop is closed.
func (in *Input) send(ctx context.Context, stop <-chan struct{}, read *ahead.Buffer[codec.Item], out chan<- []codec.Item) {
	defer read.Close()
	for more := true; more; {
		var items []codec.Item
		var err error
		select {
		case <-read.Some():
			items, more, err = read.Take(nil)
		case <-stop:
			more = false
		case <-ctx.Done():
			return // not the end of the stream
		}
		if err != nil {
			in.failed.Store(&err)
		}
		if len(items) == 0 {
			continue
		}
		if in.recent != nil {
			in.recent.add(items)
		}
		select {
		case out <- items:
			in.sent.Add(int64(len(items)))
		case <-stop:
			more = false
		case <-ctx.Done():
			return
		}
	}
	in.ended.Store(true)
	close(out)
}

// Items are lines as they are.
func Items(lines iter.Seq2[[]byte, error]) iter.Seq2[codec.Item, error] {
	return func(yield func(codec.Item, error) bool) {
		lines(func(line []byte, err error) bool { return yield(line, err) })
	}
}
