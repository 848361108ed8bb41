package workers_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A heartbeat in flight while a worker leaves causes no warning.
func TestAWorkerThatIsStoppedWarnsOfNothing(t *testing.T) {
	server := testkit.SharedRedis(t)
	var log bytes.Buffer
	for range 100 {
		w, err := workers.New(server.URL()+"/?ns="+testkit.Namespace(t), workers.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
		cancel()
		if err := <-ended; err != nil || log.Len() > 0 {
			t.Fatalf("%v, logged: %s", err, &log)
		}
	}
}
