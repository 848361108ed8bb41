// Command bench measures dqbridge beside what it is compared with: plain
// channels, and the same pipeline written by hand with go-redis. It starts a
// redis-server of its own, and everything is measured in one run, in turns:
//
//	go run .            a table
//	go run . -json      the same for programs
//	go run . -only redis,hand -n 9
//	go run . -cpuprofile cpu.out && go tool pprof -top cpu.out
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The parts of a run, in their order; -only chooses.
const (
	partChannels = "channels" // throughput of plain channels
	partHand     = "hand"     // of the pipeline written by hand
	partRedis    = "redis"    // of dqbridge on Redis
	partSlices   = "slices"   // of dqbridge on Redis, by the slice
	partEmbedded = "embedded" // of dqbridge on its embedded broker
	partLatency  = "latency"
	partSleep    = "sleep"
	partIdle     = "idle"
)

var parts = []string{partChannels, partHand, partRedis, partSlices, partEmbedded, partLatency, partSleep, partIdle}

type settings struct {
	runs       int
	items      int
	singles    int // items of a run of the latency
	json       bool
	only       []string
	cpuProfile string
	memProfile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // a command begins here
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // a command ends here
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	server, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	begin := time.Now()
	b := &bench{settings: s, server: server, progress: stderr}
	r := newReport(s, server.version)
	err = b.profiled(func() error { return b.measure(ctx, r) })
	if err != nil {
		return err
	}
	r.Seconds = time.Since(begin).Seconds()
	if s.json {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	return r.write(stdout)
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.runs, "n", 5, "`runs` of each measurement; the median counts")
	flags.IntVar(&s.items, "items", 1_000_000, "items of a run of the throughput")
	flags.IntVar(&s.singles, "singles", 1000, "items of a run of the latency")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	only := flags.String("only", "", "measure only these `parts`: "+strings.Join(parts, ","))
	flags.StringVar(&s.cpuProfile, "cpuprofile", "", "write a CPU profile to `file`; without -only, of dqbridge on Redis alone")
	flags.StringVar(&s.memProfile, "memprofile", "", "write a profile of allocations to `file`; the same")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.runs < 1 || s.items < 1 || s.singles < 1 {
		return s, errors.New("-n, -items and -singles must be at least 1")
	}
	s.only = parts
	switch {
	case *only != "":
		s.only = strings.Split(*only, ",")
	case s.cpuProfile != "" || s.memProfile != "":
		s.only = []string{partRedis}
	}
	for _, part := range s.only {
		if !slices.Contains(parts, part) {
			return s, fmt.Errorf("-only %s: there is no such part, only %s", part, strings.Join(parts, ","))
		}
	}
	return s, nil
}
