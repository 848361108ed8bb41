package rows

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// These rows make only the calls of dqbridge, with a goroutine for each reader and writer as in the
// pipeline by hand. They do not read ahead, choose the size of batches or recover. Their difference
// to the pipeline by hand is the cost of the scripts.

// protocolRow has both stages in one call, like fused stages.
func protocolRow() Row {
	return protocolOf("protocol", "the calls of dqbridge alone", []func(int) int{func(x int) int { return work.Double(work.Inc(x)) }})
}

// protocolApartRow has a queue between the stages.
func protocolApartRow() Row {
	return protocolOf("protocol-apart", "the calls of dqbridge alone, stages apart", []func(int) int{work.Inc, work.Double})
}

func protocolOf(name, title string, stages []func(int) int) Row {
	return Row{
		Name: name, Title: title, Lines: UserLines(files, "protocol.go"), First: 100_000, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			c, err := broker.Open(s.URL(), broker.Options{})
			if err != nil {
				return nil, err
			}
			ints, err := codec.For[int](nil)
			if err != nil {
				return nil, err
			}
			return &protocol{c, ints, stages}, c.Connect(ctx, time.Second)
		},
	}
}

const (
	protocolWait   = 2 * time.Second
	protocolItems  = 8192 // of a batch
	protocolReads  = 16   // entries of a read
	protocolWindow = 1 << 18
	protocolPace   = time.Millisecond // of acknowledgements
)

type protocol struct {
	c      *broker.Client
	ints   codec.Typed[int]
	stages []func(int) int
}

func (p *protocol) Close() error { return p.c.Close() }

// user code: begin

func (p *protocol) Pipe(ctx context.Context) (work.Caller, error) {
	queues := make([]broker.Queue, len(p.stages)+1)
	for i := range queues {
		q, _, err := p.c.Declare(ctx, broker.Queue{Name: "q" + strconv.Itoa(i), From: []string{"q0"}[:min(i, 1)]})
		if err != nil {
			return nil, err
		}
		queues[i] = q
		if i == 0 {
			continue
		}
		stage := broker.Stage{ID: q.Name, Kind: broker.KindMap, Function: "f", Ins: queues[i-1 : i], Outs: []broker.Out{{Queue: q}}}
		if err := p.c.Stage(ctx, stage); err != nil { // without a stage the window never moves
			return nil, err
		}
	}
	source, _, err := p.c.Source(ctx, "s", queues[0], 1)
	if err != nil {
		return nil, err
	}
	last := queues[len(p.stages)]
	gather, err := p.c.Consume(ctx, "gather", "caller", last.Name)
	if err != nil {
		return nil, err
	}
	if _, err = p.c.Watch(ctx, gather, broker.Path{Queue: queues[0].Name}, "0"); err != nil {
		return nil, err
	}
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	group.Go(func() error { return p.scatter(ctx, source, in) })
	for i := range p.stages {
		worker := "worker" + strconv.Itoa(i)
		if err := p.c.Mailbox(ctx, worker); err != nil {
			return nil, errors.Join(err, end())
		}
		group.Go(func() error { return p.work(ctx, worker, queues[i:], p.stages[i:]) })
	}
	group.Go(func() error {
		defer close(out)
		return p.gather(ctx, gather, last.Name, out)
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}

// scatter stores the available items as one batch.
func (p *protocol) scatter(ctx context.Context, s broker.Source, in <-chan int) error {
	items, first := make([]int, 0, protocolItems), int64(0)
	for x := range in {
		items = append(items[:0], x)
		for len(in) > 0 && len(items) < protocolItems {
			items = append(items, <-in)
		}
		parcels := []broker.Parcel{{Batch: p.batch(s.Name, first, items)}}
		for {
			got, err := p.c.Scatter(ctx, s, "caller", broker.Window{Items: protocolWindow}, parcels)
			if err != nil {
				return err
			}
			if first += int64(len(items)); got.Stored == first {
				break
			}
			first -= int64(len(items)) // the window is full
		}
	}
	return nil
}

func (p *protocol) batch(source string, first int64, items []int) batch.Batch {
	var b batch.Builder
	p.ints.Fill(&b, items)
	return batch.Batch{Source: source, First: first, N: len(items), Frame: b.Take()}
}

// work completes the entries of the first queue. A single entry continues through the later stages.
func (p *protocol) work(ctx context.Context, worker string, queues []broker.Queue, stages []func(int) int) error {
	from := []broker.StreamRef{{Queue: queues[0].Name, Kind: broker.Returned}, {Queue: queues[0].Name}}
	return p.read(ctx, worker, from, func(entries []broker.Entry) error {
		for i, f := range stages {
			done, err := p.run(entries, queues[i], queues[i+1], f)
			if err != nil {
				return err
			}
			if len(done) > 1 || i+1 == len(stages) {
				_, err := p.c.Complete(ctx, done)
				return err
			}
			if _, entries, err = p.c.CommitAndTakeNext(ctx, done[0], worker); err == nil {
				err = p.c.Fetch(ctx, nil, entries)
			}
			if err != nil || len(entries) == 0 {
				return err
			}
		}
		return nil
	})
}

func (p *protocol) run(entries []broker.Entry, in, out broker.Queue, f func(int) int) ([]broker.Completion, error) {
	done := make([]broker.Completion, len(entries))
	for i, e := range entries {
		items, err := p.values(e)
		if err != nil {
			return nil, err
		}
		for k, x := range items {
			items[k] = f(x)
		}
		done[i] = broker.Completion{Entry: e, In: in, Outs: []broker.Output{{Queue: out, Batch: p.batch(e.Source, e.First, items)}}}
	}
	return done, nil
}

func (p *protocol) gather(ctx context.Context, g broker.Gather, queue string, out chan<- int) error {
	var whole []broker.Entry
	var written time.Time
	return p.read(ctx, g.ID, []broker.StreamRef{{Queue: queue}}, func(entries []broker.Entry) error {
		end := int64(0)
		for _, e := range entries {
			items, err := p.values(e)
			if err != nil {
				return err
			}
			for _, x := range items {
				if err := work.Give(ctx, out, x); err != nil {
					return err
				}
			}
			end = e.End()
		}
		whole = append(whole, entries...)
		if time.Since(written) < protocolPace {
			return nil
		}
		mark := broker.Mark{Source: "s", Delivered: strconv.FormatInt(end, 10), Low: end}
		_, err := p.c.Ack(ctx, g, whole, []broker.Mark{mark}, 0, func(string) string { return "q0" })
		whole, written = nil, time.Now()
		return err
	})
}

// read calls take with the entries of each read until an error.
func (p *protocol) read(ctx context.Context, consumer string, from []broker.StreamRef, take func([]broker.Entry) error) error {
	r := p.c.Reader(consumer, protocolWait)
	defer context.AfterFunc(ctx, r.Interrupt)()
	for {
		entries, _, err := r.Read(ctx, from, protocolReads, protocolWait)
		if err == nil {
			err = p.c.Fetch(ctx, nil, entries)
		}
		if err == nil && len(entries) > 0 {
			err = take(entries)
		}
		if err != nil {
			return errors.Join(err, r.Close())
		}
	}
}

func (p *protocol) values(e broker.Entry) ([]int, error) {
	frame := batch.Read(e.Frame)
	return p.ints.Decode(&frame, e.N, nil, func(int, []byte, error) {})
}

// user code: end
