package main

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// TestMain lets the test binary be the program, so that a test can kill a worker.
func TestMain(m *testing.M) {
	if os.Getenv("CRAWLER_PROGRAM") != "" {
		main()
		os.Exit(0)
	}
	testkit.Main(m)
}

// startWorker starts a worker as a process of its own.
func startWorker(t *testing.T, address string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-worker")
	cmd.Env = append(os.Environ(), "CRAWLER_PROGRAM=1", "DQBRIDGE_REDIS="+address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kill(cmd) })
	return cmd
}

// kill is kill -9.
func kill(cmd *exec.Cmd) error {
	return errors.Join(cmd.Process.Signal(syscall.SIGKILL), cmd.Wait())
}

// crawled crawls a site and returns the addresses of its pages as they come. It calls half at half of
// them.
func crawled(t *testing.T, ex *executor.Executor, web *site, half func()) (urls []string) {
	t.Helper()
	found, err := crawl(t.Context(), ex, web.start())
	if err != nil {
		t.Fatal(err)
	}
	for page, err := range bridge.All(t.Context(), found) {
		if err != nil {
			t.Fatal(err)
		}
		if urls = append(urls, page.URL); len(urls) == web.pages/2 {
			half()
		}
	}
	return urls
}

// check compares addresses with those of all pages of a site.
func check(t *testing.T, web *site, urls []string) {
	t.Helper()
	var want []string
	for page := range web.pages {
		want = append(want, web.url(page))
	}
	slices.Sort(want)
	slices.Sort(urls)
	if !slices.Equal(urls, want) {
		t.Errorf("%d pages were visited, %d of them different, want %d", len(urls), len(slices.Compact(urls)), len(want))
	}
}

func serveTest(t *testing.T) *site {
	t.Helper()
	web, err := serve(t.Context(), pages, hosts, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := web.close(); err != nil {
			t.Error(err)
		}
	})
	return web
}

// Each page comes once, also those that fail twice and those that many others link to.
func TestEachPageIsVisitedOnce(t *testing.T) {
	web := serveTest(t)
	ex, err := executor.New(t.Context(), "", executor.Concurrency(concurrency))
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Register(fetchPage); err != nil {
		t.Fatal(err)
	}
	check(t, web, crawled(t, ex, web, func() {}))
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

// Three workers on a Redis crawl, and one of them is killed.
func TestEachPageIsVisitedOnceThoughAWorkerDies(t *testing.T) {
	web := serveTest(t)
	address := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), address, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	victim := startWorker(t, address)
	startWorker(t, address)
	startWorker(t, address)
	check(t, web, crawled(t, ex, web, func() { _ = kill(victim) }))
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

// The program in plain Go finds the same pages.
func TestPlainCrawlerFindsTheSame(t *testing.T) {
	web := serveTest(t)
	var urls []string
	for _, page := range crawlPlain(t.Context(), web.start()) {
		urls = append(urls, page.URL)
	}
	check(t, web, urls)
}
