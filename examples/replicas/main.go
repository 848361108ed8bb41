// Command replicas is a web service of several processes that share one named pipeline. It is a program
// of docs/guides/request-response.md:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/replicas worker &
//	go run ./examples/replicas deploy
//	go run ./examples/replicas serve 127.0.0.1:8081 &
//	go run ./examples/replicas serve 127.0.0.1:8082 &
//	curl '127.0.0.1:8082/price?order=3+pears'
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
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("DQBRIDGE_REDIS"), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, args []string) (err error) {
	if len(args) == 1 && args[0] == "worker" {
		w, err := workers.New(address, workers.Functions(price, tax))
		if err != nil {
			return err
		}
		return w.Run(ctx)
	}
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	switch {
	case len(args) == 1 && args[0] == "deploy":
		return deploy(ctx, ex)
	case len(args) == 2 && args[0] == "serve":
		return serve(ctx, ex, args[1])
	}
	return errors.New("usage: replicas worker, replicas deploy, or replicas serve ADDRESS")
}

// deploy makes the pipeline once. It may run again.
func deploy(ctx context.Context, ex *executor.Executor) error {
	none := make(chan string)
	close(none)
	orders, err := bridge.Scatter(ctx, ex, none, bridge.Name("orders"))
	if err != nil {
		return err
	}
	prices, err := executor.Map(ctx, price, orders)
	if err != nil {
		return err
	}
	_, err = executor.Map(ctx, tax, prices, executor.Name("charged"))
	return err
}

// serve answers requests by the pipeline, until ctx ends.
func serve(ctx context.Context, ex *executor.Executor, address string) error {
	p, err := connect(ctx, ex)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{Handler: handler(p), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

func handler(p *pipeline) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cents, err := p.call(r.Context(), r.FormValue("order"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintln(w, cents)
	})
}
