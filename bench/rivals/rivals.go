// Package rivals has one file for each other system. It does not use dqbridge, so that a change of
// dqbridge cannot break it.
package rivals

import (
	"embed"

	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

//go:embed *.go
var files embed.FS

// Rows returns the rows of the other systems in the order of the table.
func Rows() []rows.Row {
	return []rows.Row{
		natsRow("nats", "NATS JetStream, files", "file"),
		natsRow("nats-memory", "NATS JetStream, memory", "memory"),
		watermillRow(),
		asynqRow("asynq", "asynq", 0),
		asynqRow("asynq-5ms", "asynq, looks every 5 ms", asynqOften),
		machineryRow(),
	}
}
