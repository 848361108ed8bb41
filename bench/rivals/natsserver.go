package rivals

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSRole is the role of the process that serves NATS: a separate process, like Redis.
const NATSRole = "nats"

// ServeNATS runs a nats-server with JetStream until its context ends.
func ServeNATS(ctx context.Context, _ json.RawMessage, ready func(string)) (_ int, err error) {
	dir, err := os.MkdirTemp("", "dqbench-nats")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return 0, err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return 0, errors.New("nats-server takes no connections")
	}
	ready(s.ClientURL())
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return 0, nil
}
