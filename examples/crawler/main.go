// Command crawler visits all pages that some pages lead to, each once, and ends when no page is under way. Workers
// fetch the pages; the links that they find are fed back into the queue of the workers. It serves the pages itself:
//
//	go run ./examples/crawler -compare
//
// With a Redis, the workers are other processes:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/crawler -worker &
//	go run ./examples/crawler
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	pages       = 5000
	hosts       = 4
	latency     = 10 * time.Millisecond // of a page
	concurrency = hosts * perHost       // pages that are fetched at once
	lease       = 3 * time.Second       // the same in the whole fleet
)

func main() {
	worker := flag.Bool("worker", false, "fetch pages for other processes until interrupted")
	compare := flag.Bool("compare", false, "crawl the pages in plain Go too, and print the ratio of the times")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	act := run
	switch {
	case *worker:
		act = work
	case *compare:
		act = compareWithPlain
	}
	err := act(ctx, os.Getenv("DQBRIDGE_REDIS"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "crawler:", err)
		os.Exit(1)
	}
}

// work fetches pages for other processes until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Concurrency(concurrency), workers.Lease(lease), workers.Functions(fetchPage))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// run serves the pages and crawls them.
func run(ctx context.Context, address string) (err error) {
	web, err := serve(ctx, pages, hosts, latency)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, web.close()) }()
	_, err = crawlSite(ctx, address, web)
	return err
}

// compareWithPlain is run, and then the same in plain Go.
func compareWithPlain(ctx context.Context, address string) (err error) {
	web, err := serve(ctx, pages, hosts, latency)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, web.close()) }()
	took, err := crawlSite(ctx, address, web)
	if err != nil {
		return err
	}
	web.reset()
	begin := time.Now()
	n := len(crawlPlain(ctx, web.start()))
	plain := time.Since(begin)
	fmt.Printf("%d pages in %v in plain Go, ratio %.2f\n", n, plain.Round(time.Millisecond), took.Seconds()/plain.Seconds())
	return nil
}

// crawlSite crawls the pages of a site and returns how long that took.
func crawlSite(ctx context.Context, address string, web *site) (took time.Duration, err error) {
	ex, err := executor.New(ctx, address, executor.Lease(lease), executor.Concurrency(concurrency))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if address == "" { // otherwise the workers are other processes
		if err := ex.Register(fetchPage); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	n, err := visit(ctx, ex, web.start())
	if err != nil {
		return 0, err
	}
	took = time.Since(begin)
	fmt.Printf("%d pages in %v\n", n, took.Round(time.Millisecond))
	return took, nil
}

// visit crawls and counts the pages.
func visit(ctx context.Context, ex *executor.Executor, start []string) (n int, err error) {
	found, err := crawl(ctx, ex, start)
	if err != nil {
		return 0, err
	}
	for page, err := range bridge.All(ctx, found) {
		if err != nil && !bridge.IsItemError(err) {
			return n, err
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "crawler:", err)
			continue
		}
		_ = page // a program would store it
		n++
	}
	return n, nil
}
