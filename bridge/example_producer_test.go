package bridge_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// An HTTP service that answers 202 once the order is stored. Requests that arrive at the
// same time share a call to Redis.
func ExampleProducer() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "") // redis://host:6379 in a service
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	orders, err := bridge.NewProducer[string](ctx, ex, bridge.Name("orders"), bridge.MaxSize(100_000))
	if err != nil {
		log.Fatal(err)
	}

	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		order, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		limit, cancel := context.WithTimeout(r.Context(), 2*time.Second) // while the queue is full
		defer cancel()
		if err := orders.Send(limit, string(order)); err != nil {
			http.Error(w, "not stored, try again: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer service.Close()

	for _, order := range []string{"3 apples", "1 pear"} {
		reply, err := http.Post(service.URL, "text/plain", strings.NewReader(order))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.Status)
		reply.Body.Close()
	}

	if err := orders.Close(); err != nil { // all is stored, and this source has ended
		log.Fatal(err)
	}
	waiting, err := orders.Queue().Len(ctx)
	fmt.Println(waiting, err)
	// Output:
	// 202 Accepted
	// 202 Accepted
	// 2 <nil>
}

func ExampleProducer_SendAll() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	p, err := bridge.NewProducer[int](ctx, ex)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.SendAll(ctx, []int{1, 2, 3}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Queue().Len(ctx))
	if err := p.Close(); err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, p.Queue()) {
		fmt.Println(v, err)
	}
	// Output:
	// 3 <nil>
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}
