// Command channels reads the log of a web server with a pipeline of goroutines, and with the same pipeline on a
// fleet of workers. It is the program of docs/guides/from-channels.md:
//
//	go run ./examples/channels plain
//	go run ./examples/channels remote
//
// The lines are of a log of NASA's Kennedy Space Center from July 1995.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/dqbridge/dqbridge/executor"
)

//go:embed access.log
var accessLog string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	lines := strings.Split(strings.TrimSpace(accessLog), "\n")
	err := errors.New("usage: channels plain, or channels remote")
	switch strings.Join(os.Args[1:], " ") {
	case "plain":
		err = plain(ctx, lines, os.Stdout, log.New(os.Stderr, "", 0))
	case "remote":
		err = embedded(ctx, lines)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "channels:", err)
		os.Exit(1)
	}
}

// embedded runs the remote pipeline on a broker and workers in this process.
func embedded(ctx context.Context, lines []string) (err error) {
	ex, err := executor.New(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(parseFunc, reportFunc); err != nil {
		return err
	}
	return remote(ctx, ex, lines, os.Stdout, log.New(os.Stderr, "", 0))
}
