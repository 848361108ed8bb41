// Command service answers HTTP requests for the distance of two capitals. Workers compute it. It is the program of
// docs/guides/request-response.md:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/service worker &
//	go run ./examples/service serve 127.0.0.1:8080 &
//	curl '127.0.0.1:8080/distance?from=Paris&to=Tokyo'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	err := errors.New("usage: service worker, or service serve HOST:PORT")
	switch {
	case len(os.Args) == 2 && os.Args[1] == "worker":
		err = work(ctx, address)
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(ctx, address, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// work runs the functions for other processes until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Concurrency(8), workers.Functions(locate, distance))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// serve answers requests until ctx is done, and then finishes those that have begun.
func serve(ctx context.Context, address, listen string) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(ex), ReadHeaderTimeout: requestTimeout}
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() { ended <- server.Shutdown(context.WithoutCancel(ctx)) })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}
