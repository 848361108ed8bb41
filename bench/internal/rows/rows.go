// Package rows has one file for each way to move ints through inc and double: the rows of the
// table.
package rows

import (
	"context"
	"embed"
	"io/fs"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Row is one way.
type Row struct {
	Name  string // for -only
	Title string
	Files []string // user code is between the marks in them
	Code  fs.FS    // holds the files; nil: this folder
	First int      // items of a first attempt of less than a second
	// Open makes the parts that are not measured: connections, and workers for both stages.
	Open func(ctx context.Context, s *redisd.Server) (Fleet, error)
	// Backlog queues n ints without workers; nil if the row has no queue.
	Backlog func(ctx context.Context, s *redisd.Server, n int) (Held, error)
	Redis   bool // the items go through Redis
	Bulk    bool // items do not travel alone, so there is no latency to measure
}

// A Fleet is a running pipeline.
type Fleet interface {
	Pipe(ctx context.Context) (work.Caller, error)
	Close() error
}

// A Held is a waiting backlog.
type Held struct {
	Bytes   float64 // if Redis is not asked
	Release func() error
}

// Own returns the rows that need only Go, Redis and this project, in the order of the table.
func Own() []Row {
	return []Row{
		channelsRow(), relayRow(), naiveRow(), pipelinedRow(), handRow(), handChannelsRow(),
		protocolRow(), protocolApartRow(), bridgeRow(), apartRow(), slicesRow(), embeddedRow(),
	}
}

//go:embed *.go
var files embed.FS

// Lines counts the lines of code that a user of the row writes: those between the marks without
// empty lines and comments.
func (r Row) Lines() int {
	code, count := r.Code, 0
	if code == nil {
		code = files
	}
	for _, file := range r.Files {
		text, err := fs.ReadFile(code, file)
		if err != nil {
			panic(err) // the files are built in
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
