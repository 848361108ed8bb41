// Command scale measures the cost of a batch and of an item, simulates from that the capacity of a
// fleet and a Cluster, and compares the simulation with small Clusters on this machine:
//
//	go run ./scale
//	go run ./scale -docs ../docs    the same, into the documentation
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/page"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/role"
	"github.com/dqbridge/dqbridge/bench/internal/scale"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	if role.Is(args) {
		return role.Serve(ctx, args, procs.Roles())
	}
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	runs := flags.Int("n", 3, "`runs` of each measurement; the median counts")
	docs := flags.String("docs", "", "put the figures into the documentation in this `folder`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *runs < 1 {
		return errors.New("there are no arguments, and -n is at least 1")
	}
	var figures strings.Builder
	if err := measure(ctx, *runs, &figures); err != nil {
		return err
	}
	if *docs != "" {
		return page.Replace(filepath.Join(*docs, "scale.md"), figures.String())
	}
	_, err := io.WriteString(os.Stdout, figures.String())
	return err
}

func measure(ctx context.Context, runs int, w io.Writer) error {
	s, err := redisd.Start(ctx)
	if err != nil {
		return err
	}
	version := s.Version
	s.Stop()
	units, err := scale.Measure(ctx, runs, os.Stderr)
	if err != nil {
		return err
	}
	checks, err := units.Checks(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s; %s.\n\n```\n", page.Machine(runtime.GOMAXPROCS(0), version, runtime.Version()),
		time.Now().Format("January 2006")); err != nil {
		return err
	}
	for _, write := range []func(io.Writer) error{
		units.Write,
		func(w io.Writer) error { return scale.WriteChecks(w, checks) },
		units.WriteForecasts,
	} {
		if err := write(w); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w, "```")
	return err
}
