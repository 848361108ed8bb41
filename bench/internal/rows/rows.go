// Package rows has one file for each way to move ints through inc and double:
// the rows of the table.
package rows

import (
	"context"
	"embed"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Row is one way.
type Row struct {
	Name  string // for -only
	Title string
	Files []string // in this folder; what a user writes stands between their marks
	First int      // items of a first try of less than a second
	// Open makes what is not measured: connections, and workers for both stages.
	Open func(ctx context.Context, s *redisd.Server) (Fleet, error)
	// Backlog queues n ints with nobody working; nil where nothing is queued.
	Backlog func(ctx context.Context, s *redisd.Server, n int) (Held, error)
	Redis   bool // the items go through Redis
	Bulk    bool // no item goes alone, so there is no latency to measure
}

// A Fleet is connected, and works.
type Fleet interface {
	Pipe(ctx context.Context) (work.Caller, error)
	Close() error
}

// Held is a backlog that stands.
type Held struct {
	Bytes   float64 // where Redis is not asked
	Release func() error
}

// All are the rows in the order of the table.
func All() []Row {
	return []Row{
		channelsRow(), relayRow(), naiveRow(), pipelinedRow(), handRow(), handChannelsRow(),
		bridgeRow(), apartRow(), slicesRow(), embeddedRow(),
		natsRow("nats", "NATS JetStream, files", "file"),
		natsRow("nats-memory", "NATS JetStream, memory", "memory"),
		watermillRow(),
		asynqRow("asynq", "asynq", 0),
		asynqRow("asynq-5ms", "asynq, looks every 5 ms", asynqOften),
		machineryRow(),
	}
}

const (
	// workersPerStage is how many goroutines a stage has, where it has a choice.
	workersPerStage = 4
	// producers is how many goroutines send where a call sends one item and
	// waits for it.
	producers = 4
)

//go:embed *.go
var files embed.FS

// Lines counts the lines of code that a user of the row writes: those between
// the marks that are neither empty nor comments.
func (r Row) Lines() int {
	count := 0
	for _, file := range r.Files {
		text, err := files.ReadFile(file)
		if err != nil {
			panic(err) // the files stand beside this one
		}
		inside := false
		for line := range strings.Lines(string(text)) {
			switch line = strings.TrimSpace(line); {
			case line == "// user code: begin":
				inside = true
			case line == "// user code: end":
				inside = false
			case inside && line != "" && !strings.HasPrefix(line, "//"):
				count++
			}
		}
	}
	return count
}
