// Package rows has one file for each way to move ints through inc and double:
// the rows of the table.
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
	Files []string // what a user writes stands between their marks
	Code  fs.FS    // holds the files; those of this folder where it is nil
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

// Own are the rows that need nothing but Go, Redis and this project, in the
// order of the table.
func Own() []Row {
	return []Row{
		channelsRow(), relayRow(), naiveRow(), pipelinedRow(), handRow(), handChannelsRow(),
		protocolRow(), protocolApartRow(), bridgeRow(), apartRow(), slicesRow(), embeddedRow(),
	}
}

//go:embed *.go
var files embed.FS

// Lines counts the lines of code that a user of the row writes: those between
// the marks that are neither empty nor comments.
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
