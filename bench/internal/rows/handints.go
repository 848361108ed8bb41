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
)

// handRow calls Redis directly: it makes its ints when it sends them, and checks the results when
// it reads them.
func handRow() Row {
	return handIntsRow("hand", "by hand, 256 an entry", 256, 64, func(h intHand) Fleet { return h })
}

// handChannelsRow takes its ints from a channel and sends the results to one.
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
		Name: name, Title: title, Files: []string{"hand.go"}, First: 1000 * items, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			h, err := open(ctx, s)
			return as(h), err
		},
		Backlog: func(ctx context.Context, s *redisd.Server, n int) (Held, error) {
			h, err := open(ctx, s)
			if err != nil {
				return Held{}, err
			}
			out := make(chan []int, entries)
			go h.generate(ctx, n, out)
			return Held{Release: h.Close}, h.Produce(ctx, out)
		},
	}
}

// Ints encodes each int in 8 bytes.
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

type intHand struct{ *Hand[int] }

// generate sends n ints as entries.
func (h intHand) generate(ctx context.Context, n int, entries chan<- []int) {
	defer close(entries)
	for from := 0; from < n; from += h.packing.Items {
		items := make([]int, min(h.packing.Items, n-from))
		for i := range items {
			items[i] = from + i
		}
		select {
		case entries <- items:
		case <-ctx.Done():
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

// A handCaller is at both ends of the streams itself.
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
