package metrics_test

import (
	"context"
	"errors"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/metrics"
	"github.com/dqbridge/dqbridge/workers"
)

// A program with a worker exports the work of that worker, and whether it takes items.
func ExampleNewWorker() {
	own, err := metrics.NewWorker()
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(own)
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := own.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	w, err := workers.New("redis://127.0.0.1:6379", workers.Functions(), own.Option())
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(http.ListenAndServe("127.0.0.1:9464", nil)) }()
	log.Print(w.Run(context.Background()))
}

// A program exports a whole namespace, as the command "dqbridge exporter" does.
func ExampleNewFleet() {
	ctx := context.Background()
	o, err := executor.NewInspector(ctx, "redis://127.0.0.1:6379")
	if err != nil {
		log.Fatal(err)
	}
	fleet, err := metrics.NewFleet(ctx, o, nil, metrics.MaxSeries(500))
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(fleet)
	err = http.ListenAndServe("127.0.0.1:9464", promhttp.Handler())
	fleet.Close()
	log.Fatal(errors.Join(err, o.Close()))
}
