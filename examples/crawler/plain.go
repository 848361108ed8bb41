package main

import (
	"context"
	"sync"
	"time"
)

// crawlPlain is crawl in one process: a goroutine for each page, of which concurrency fetch at once.
func crawlPlain(ctx context.Context, start []string) (found []Page) {
	var (
		mu       sync.Mutex
		seen     = map[string]bool{}
		underWay sync.WaitGroup
		slots    = make(chan struct{}, concurrency)
		visit    func(url string)
	)
	begin := func(links []string) {
		for _, link := range links {
			if !seen[link] {
				seen[link] = true
				underWay.Go(func() { visit(link) })
			}
		}
	}
	visit = func(url string) {
		for attempt := range 5 {
			if attempt > 0 {
				<-time.After(20 * time.Millisecond << (attempt - 1))
			}
			slots <- struct{}{}
			page, err := fetch(ctx, url)
			<-slots
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, page)
				begin(page.Links)
				return
			}
		}
	}
	mu.Lock()
	begin(start)
	mu.Unlock()
	underWay.Wait()
	return found
}
