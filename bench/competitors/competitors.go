// Package competitors has the rows of other systems, one file for each system.
package competitors

import (
	"embed"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

//go:embed *.go
var files embed.FS

// Rows are in the order of the table.
func Rows() []rows.Row {
	return []rows.Row{
		natsRow("nats", "NATS JetStream, files", jetstream.FileStorage),
		natsRow("nats-memory", "NATS JetStream, memory", jetstream.MemoryStorage),
		watermillRow(),
		asynqRow("asynq", "asynq", 0),
		asynqRow("asynq-5ms", "asynq, looks every 5 ms", asynqOften),
		machineryRow(),
	}
}
