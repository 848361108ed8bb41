package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// A Page is what a worker has found at an address.
type Page struct {
	URL   string   `json:"url"`
	Title string   `json:"title"`
	Links []string `json:"links"`
}

// perHost is the number of pages that a worker process fetches from one host at once.
const perHost = 8

var client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: perHost, MaxIdleConnsPerHost: perHost}}

// fetchPage is the function of the workers.
var fetchPage = workers.Define("fetch", fetch)

// crawl visits the pages that others lead to, each once.
func crawl(ctx context.Context, ex *executor.Executor, start []string) (*executor.Queue[Page], error) {
	seeds, err := bridge.ScatterSeq(ctx, ex, slices.Values(start))
	if err != nil {
		return nil, err
	}
	visit := func(urls *executor.Queue[string]) (*executor.Queue[Page], error) {
		return executor.Map(ctx, fetchPage, urls, executor.Retries(4), executor.Backoff(20*time.Millisecond, time.Second))
	}
	seen := map[string]bool{}
	for _, url := range start {
		seen[url] = true
	}
	unseen := func(_ context.Context, p Page) (links []string, _ error) {
		for _, link := range p.Links {
			if !seen[link] {
				seen[link] = true
				links = append(links, link)
			}
		}
		return links, nil
	}
	return flow.Feedback(ctx, seeds, visit, unseen)
}

// fetch reads a page.
func fetch(ctx context.Context, url string) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Page{}, workers.Permanent(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return Page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Page{}, err
	}
	switch {
	case response.StatusCode >= http.StatusInternalServerError:
		return Page{}, fmt.Errorf("%s: %s", url, response.Status)
	case response.StatusCode != http.StatusOK:
		return Page{}, workers.Permanent(fmt.Errorf("%s: %s", url, response.Status))
	}
	return parse(url, string(body)), nil
}

var (
	anchors = regexp.MustCompile(`<a href="([^"]*)">`)
	titles  = regexp.MustCompile(`<title>([^<]*)</title>`)
)

// parse finds the title and the links of a page.
func parse(url, text string) Page {
	p := Page{URL: url}
	if title := titles.FindStringSubmatch(text); title != nil {
		p.Title = title[1]
	}
	for _, link := range anchors.FindAllStringSubmatch(text, -1) {
		p.Links = append(p.Links, link[1])
	}
	return p
}
