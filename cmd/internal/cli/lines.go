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
	// MaxLine is the largest number of bytes of a line. A longer one is cut to one byte more, and
	// is then too large for an item.
	MaxLine = 64 << 20

	blockSize = 256 << 10
	leastRead = 16 << 10
)

// Lines returns the lines of r without end, the byte that ends each line. The last line may lack
// it. The receiver may keep a line, but not change it. An error of r comes last.
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

// A splitter cuts the bytes of its buffer into lines without copying. It never overwrites the bytes
// of a line that it has yielded.
type splitter struct {
	limit    int
	newline  byte
	yield    func([]byte) bool
	buf      []byte // the beginning of the next line
	skipping bool   // the rest of a line above the limit
}

// grow makes sure that buf has free capacity for a read.
func (s *splitter) grow() {
	if cap(s.buf)-len(s.buf) >= leastRead {
		return
	}
	size := max(blockSize, min(2*len(s.buf), s.limit+blockSize))
	s.buf = append(make([]byte, 0, size), s.buf...)
}

// split takes n bytes after buf, and yields the lines that end in them.
func (s *splitter) split(n int) bool {
	from := len(s.buf)
	s.buf = s.buf[:from+n]
	for {
		i := bytes.IndexByte(s.buf[from:], s.newline)
		if i < 0 {
			return s.cutLong()
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

// cutLong yields the beginning of a line above the limit.
func (s *splitter) cutLong() bool {
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

// end yields a last line without its end byte.
func (s *splitter) end() bool {
	return s.skipping || len(s.buf) == 0 || s.yield(s.buf)
}

// An Input sends items into a queue.
type Input struct {
	// Items is closed after the last item. It is not closed if ctx has ended.
	Items <-chan []codec.Item

	source *Source
	recent *Recent // nil: lines are not kept
	sent   atomic.Int64
	ended  atomic.Bool
	failed atomic.Pointer[error]
}

// Sent returns the number of sent items.
func (in *Input) Sent() int64 { return in.sent.Load() }

// total returns the number of items, as far as it is known.
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

// Err returns the read error that ended the items. The caller has to wait until Items is closed.
func (in *Input) Err() error {
	if err := in.failed.Load(); err != nil {
		return fmt.Errorf("read stdin: %w", *err)
	}
	return nil
}

// Feed sends items until they end, stop is closed, or ctx ends. In the first two cases it closes
// the channel, which ends the stream. stop, source and recent may be nil. Feed reads up to 256
// items or 1 MiB ahead, and does not wait for a read that does not return. source is the file that
// items come from. recent gets the sent items.
func Feed(ctx context.Context, stop <-chan struct{}, source *Source, recent *Recent, items iter.Seq2[codec.Item, error]) *Input {
	out := make(chan []codec.Item)
	in := &Input{Items: out, source: source, recent: recent}
	read := ahead.New(func(item codec.Item) int { return len(item) })
	go in.read(read, items)
	go in.send(ctx, stop, read, out)
	return in
}

// read puts items into a buffer.
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

// send sends the items of a buffer to out. It closes out after the last one and after stop.
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

// Items returns lines as items.
func Items(lines iter.Seq2[[]byte, error]) iter.Seq2[codec.Item, error] {
	return func(yield func(codec.Item, error) bool) {
		lines(func(line []byte, err error) bool { return yield(line, err) })
	}
}
