package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A site serves pages with links to each other from several hosts. Every eleventh page fails twice before it answers.
type site struct {
	pages   int
	latency time.Duration
	hosts   []string
	servers []*http.Server

	mu     sync.Mutex
	visits map[int]int // by page
}

// serve serves n pages from some hosts. Each page takes some time.
func serve(ctx context.Context, n, hosts int, latency time.Duration) (*site, error) {
	s := &site{pages: n, latency: latency, visits: map[int]int{}}
	for range hosts {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
		s.hosts, s.servers = append(s.hosts, listener.Addr().String()), append(s.servers, server)
		go func() { _ = server.Serve(listener) }() // until close
	}
	return s, nil
}

func (s *site) close() (err error) {
	for _, server := range s.servers {
		err = errors.Join(err, server.Close())
	}
	return err
}

// url returns the address of a page.
func (s *site) url(page int) string {
	return fmt.Sprintf("http://%s/%d", s.hosts[page%len(s.hosts)], page)
}

func (s *site) start() []string { return []string{s.url(0)} }

// reset forgets the visits, so that pages fail again.
func (s *site) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.visits)
}

// ServeHTTP answers with a page that links to four further ones and to some that others link to as well.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || page < 0 || page >= s.pages {
		http.NotFound(w, r)
		return
	}
	<-time.After(s.latency)
	s.mu.Lock()
	s.visits[page]++
	visits := s.visits[page]
	s.mu.Unlock()
	if page%11 == 5 && visits <= 2 {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "<html><title>page %d</title>\n", page)
	for _, link := range []int{4*page + 1, 4*page + 2, 4*page + 3, 4*page + 4, page / 2, page * 7 % s.pages} {
		if link < s.pages {
			fmt.Fprintf(w, "<a href=%q>a page</a>\n", s.url(link))
		}
	}
}
