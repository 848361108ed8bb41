package rows

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// handRow has no channels: it makes its ints while it sends, and checks the results while it reads.
func handRow() Row {
	return handIntsRow("hand", "by hand, 256 an entry", 256, 64, func(h intHand) Fleet { return h })
}

// handChannelsRow moves its ints from channel to channel.
func handChannelsRow() Row {
	return handIntsRow("hand-channels", "by hand, 256 an entry, from channel to channel", 256, 64, throughChannels)
}

// pipelinedRow has an entry for each int.
func pipelinedRow() Row {
	return handIntsRow("pipelined", "by hand, one an entry, pipelined", 1, 256, throughChannels)
}

func handIntsRow(name, title string, items, entries int, as func(intHand) Fleet) Row {
	open := func(ctx context.Context, s *redisd.Server) (intHand, error) {
		h, err := NewHand(ctx, s, Ints(items, entries), work.Inc, work.Double)
		return intHand{h}, err
	}
	return Row{
		Name: name, Title: title, Lines: UserLines(files, "hand.go"), First: 1000 * items, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			h, err := open(ctx, s)
			return as(h), err
		},
		Backlog: func(ctx context.Context, s *redisd.Server, n int) (Stored, error) {
			h, err := open(ctx, s)
			if err != nil {
				return Stored{}, err
			}
			out := make(chan []int, entries)
			go h.generate(ctx, n, out)
			return Stored{Release: h.Close}, h.Produce(ctx, out)
		},
	}
}

// Ints is an encoding with 8 bytes an int.
func Ints(items, entries int) Packing[int] {
	return Packing[int]{items, entries,
		func(dst []byte, items []int) ([]byte, error) {
			dst = slices.Grow(dst, 8*len(items))
			for _, x := range items {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
			}
			return dst, nil
		},
		func(dst []int, data []byte) ([]int, error) {
			for ; len(data) >= 8; data = data[8:] {
				dst = append(dst, int(binary.LittleEndian.Uint64(data)))
			}
			return dst, nil
		},
	}
}

// Encoded is the default encoding of dqbridge: the number of items, and then their frame.
func Encoded[T any](items, entries int) (p Packing[T], err error) {
	typed, err := codec.For[T](nil)
	return Packing[T]{items, entries,
		func(dst []byte, items []T) (_ []byte, err error) {
			var b batch.Builder
			for _, v := range items {
				item, err := typed.Append(b.Begin(), v)
				if err != nil {
					return nil, err
				}
				b.End(item)
			}
			return append(binary.AppendUvarint(dst, uint64(len(items))), b.Take()...), nil
		},
		func(dst []T, data []byte) (_ []T, err error) {
			n, size := binary.Uvarint(data)
			if size <= 0 || n > uint64(len(data)) {
				return nil, errors.New("an entry that is cut off")
			}
			r := batch.Read(data[size:])
			var bad error
			dst, err = typed.Decode(&r, int(n), dst, func(_ int, _ []byte, err error) { bad = err })
			return dst, errors.Join(err, bad)
		},
	}, err
}

type intHand struct{ *Hand[int] }

// generate sends n ints as entries.
func (h intHand) generate(ctx context.Context, n int, entries chan<- []int) {
	defer close(entries)
	for from := 0; from < n; from += h.packing.Items {
		items := make([]int, min(h.packing.Items, n-from))
		for i := range items {
			items[i] = from + i
		}
		if work.Give(ctx, entries, items) != nil {
			return
		}
	}
}

func (h intHand) Pipe(ctx context.Context) (work.Caller, error) {
	group, ctx, end := work.Crew(ctx)
	for i := range h.stages {
		group.Go(func() error { return h.Stage(ctx, i) })
	}
	return &handCaller{
		done: ctx.Done(), end: end,
		consume: func(take func([]int) error) { group.Go(func() error { return h.Consume(ctx, take) }) },
		add:     func(items []int) error { return h.Add(ctx, items) },
		produce: func(n int) {
			entries := make(chan []int, h.packing.Entries)
			go h.generate(ctx, n, entries)
			group.Go(func() error { return h.Produce(ctx, entries) })
		},
	}, nil
}

// A handCaller writes the first stream and reads the last one.
type handCaller struct {
	done    <-chan struct{}
	end     func() error
	consume func(take func([]int) error)
	add     func(items []int) error
	produce func(n int)
	results chan int // of single items
}

func (c *handCaller) Run(n int) (work.Done, error) {
	begin, all, t, got := time.Now(), make(chan struct{}), work.NewTally(n), 0
	c.consume(func(items []int) error {
		for _, x := range items {
			t.Add(x)
		}
		if got += len(items); got == n {
			close(all)
		}
		return nil
	})
	c.produce(n)
	select {
	case <-all:
	case <-c.done:
	}
	took := time.Since(begin)
	return work.Done{Took: took, Ordered: t.Ordered()}, errors.Join(c.end(), t.Err())
}

func (c *handCaller) Trip(i int) error {
	if c.results == nil {
		c.results = make(chan int, 1)
		c.consume(func(items []int) error {
			c.results <- items[0]
			return nil
		})
	}
	if err := c.add([]int{i}); err != nil {
		return err
	}
	select {
	case x := <-c.results:
		if x != work.Expected(i) {
			return fmt.Errorf("the result of %d is %d", i, x)
		}
		return nil
	case <-c.done:
		return c.end()
	}
}

func (c *handCaller) End() error { return c.end() }

// throughChannels has channels at both ends.
func throughChannels(h intHand) Fleet { return handChannels{h} }

type handChannels struct{ intHand }

func (h handChannels) Pipe(ctx context.Context) (work.Caller, error) {
	in, out, end := h.Channels(ctx)
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}
