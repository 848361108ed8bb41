package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// price is the price of an order, such as "3 pears", in cents.
var price = workers.Define("price", func(_ context.Context, order string) (int, error) {
	cents := map[string]int{"apples": 40, "pears": 50, "plums": 15}
	var n int
	var fruit string
	if _, err := fmt.Sscanf(order, "%d %s", &n, &fruit); err != nil || cents[fruit] == 0 {
		return 0, workers.Permanent(fmt.Errorf("order %q: want a number of apples, pears or plums", order))
	}
	return n * cents[fruit], nil
})

// tax adds a fifth.
var tax = workers.Define("tax", func(_ context.Context, cents int) (int, error) { return cents + cents/5, nil })

// A pipeline gives each caller the result of its own order.
type pipeline struct {
	mu      sync.Mutex // so that callers are in the order of their orders
	in      chan string
	callers chan chan bridge.Result[int]
	ended   chan struct{}
	err     error // why it has ended
}

// connect joins the pipeline that deploy has made.
func connect(ctx context.Context, ex *executor.Executor) (*pipeline, error) {
	charged, err := executor.Open[int](ctx, ex, "charged")
	if err != nil {
		return nil, err
	}
	p := &pipeline{in: make(chan string), callers: make(chan chan bridge.Result[int], 1000), ended: make(chan struct{})}
	orders, err := bridge.Scatter(ctx, ex, p.in, bridge.Name("orders"),
		bridge.Private("charged"), // the results of this process do not go to "charged"
		bridge.MaxInFlight(1000))
	if err != nil {
		return nil, err
	}
	results, err := bridge.Gather(ctx, charged, bridge.ResultsOf(orders))
	if err != nil {
		return nil, err
	}
	go p.deliver(results)
	return p, nil
}

// call sends an order through the pipeline and waits for its result.
func (p *pipeline) call(ctx context.Context, order string) (cents int, err error) {
	answer := make(chan bridge.Result[int], 1)
	if err := p.send(ctx, order, answer); err != nil {
		return 0, err
	}
	select {
	case r := <-answer:
		return r.Value, r.Err
	case <-p.ended:
		return 0, p.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *pipeline) send(ctx context.Context, order string, answer chan bridge.Result[int]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.in <- order:
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case p.callers <- answer:
		return nil
	case <-p.ended:
		return p.err
	}
}

// deliver passes the results on. They come in the order of the orders.
func (p *pipeline) deliver(results <-chan bridge.Result[int]) {
	defer close(p.ended)
	p.err = executor.ErrClosed
	for r := range results {
		if r.Source() == "" { // it says why the stream has ended
			p.err = r.Err
			return
		}
		(<-p.callers) <- r
	}
}
