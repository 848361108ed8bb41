// Package rows has the rows of the table: one file for each system that moves ints through inc and
// double.
package rows

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Row is one system.
type Row struct {
	Name  string // for -only
	Title string
	Lines int // of user code
	First int // items of a first run of less than a second
	// Open makes the connections and the workers of both stages. It is not measured.
	Open func(ctx context.Context, s *redisd.Server) (Fleet, error)
	// Backlog stores n ints without workers; nil for a system without a queue.
	Backlog func(ctx context.Context, s *redisd.Server, n int) (Stored, error)
	Redis   bool // the items pass through Redis
	Bulk    bool // the system has no single items, and so no latency
}

// A Fleet is connected and has workers.
type Fleet interface {
	Pipe(ctx context.Context) (work.Caller, error)
	Close() error
}

// Stored is a backlog.
type Stored struct {
	Bytes   float64 // 0: the growth of the memory of Redis counts
	Release func() error
}

// Store sends n ints and returns their backlog. release frees the connections.
func Store(n int, send func(i int) error, release func() error) (Stored, error) {
	for i := range n {
		if err := send(i); err != nil {
			return Stored{}, errors.Join(err, release())
		}
	}
	return Stored{Release: release}, nil
}

// Own are the rows with dqbridge, Redis or Go alone, in the order of the table.
func Own() []Row {
	return []Row{
		channelsRow(), relayRow(), naiveRow(), pipelinedRow(), handRow(), handChannelsRow(),
		protocolRow(), protocolApartRow(), bridgeRow(), apartRow(), slicesRow(), embeddedRow(),
	}
}

//go:embed *.go
var files embed.FS

// UserLines counts the lines of user code in a file: lines between the marks, of all sections or of
// some, that are neither empty nor comments.
func UserLines(code fs.FS, name string, sections ...string) (count int) {
	text, err := fs.ReadFile(code, name)
	if err != nil {
		panic(err) // the files are built in
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		section, begins := strings.CutPrefix(line, "// user code: begin")
		switch {
		case begins:
			inside = len(sections) == 0 || slices.Contains(sections, strings.TrimSpace(section))
		case line == "// user code: end":
			inside = false
		case inside && line != "" && !strings.HasPrefix(line, "//"):
			count++
		}
	}
	return count
}
