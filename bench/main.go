// Command bench measures dqbridge, plain channels, the same pipeline written by hand with go-redis,
// and other systems. It starts a redis-server and measures all of them in turns in one run:
//
//	go run .            the table, in a few minutes
//	go run . -full      the table, the targets, the costs and the curves
//	go run . -full -docs ../docs    the same, into the documentation
//	go run . -only redis,hand,latency -n 9
//	go run . -only targets
//	go run . -json
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
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bench/competitors"
	"github.com/dqbridge/dqbridge/bench/internal/curve"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/table"
	"github.com/dqbridge/dqbridge/bench/internal/target"
)

func main() {
	roles := process.Roles()
	roles[competitors.NATSRole] = competitors.ServeNATS
	roles[target.TalkerRole] = target.Talk
	process.Main("bench", roles, func(ctx context.Context, args []string) error {
		s, err := parse(args, os.Stderr)
		if err != nil {
			return err
		}
		return run(ctx, s, os.Stdout, os.Stderr)
	})
}

type settings struct {
	measure.Settings
	json       bool
	only       parts
	curves     string // folder
	docs       string // folder
	cpuProfile string
	memProfile string
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.Runs, "n", 0, "`runs` of each measurement, whose median counts; 3, with -full 5")
	flags.IntVar(&s.Items, "items", 0, "items of a run of the throughput; 0: as many as fit in -long")
	flags.DurationVar(&s.Long, "long", time.Second, "about how long a run of the throughput is")
	flags.IntVar(&s.Trips, "singles", 1000, "items of a run of the latency")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	full := flags.Bool("full", false, "measure everything")
	flags.StringVar(&s.curves, "curves", "", "draw the curves into this `folder`")
	flags.StringVar(&s.docs, "docs", "", "put the figures and the curves into the documentation in this `folder`")
	only := flags.String("only", "", "measure only these `parts`: "+strings.Join(partNames(), ","))
	flags.StringVar(&s.cpuProfile, "cpuprofile", "", "write a CPU profile to `file`; without -only, of dqbridge on Redis alone")
	flags.StringVar(&s.memProfile, "memprofile", "", "write a profile of allocations to `file`; the same")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.Runs == 0 {
		s.Runs = 3
		if *full {
			s.Runs = 5
		}
	}
	if s.Runs < 1 || s.Items < 0 || s.Trips < 1 || s.Long <= 0 {
		return s, errors.New("-n and -singles must be at least 1, -items not negative and -long above 0")
	}
	if s.docs != "" && s.curves == "" {
		s.curves = filepath.Join(s.docs, "performance")
	}
	switch {
	case *only != "":
		s.only, err = chosen(strings.Split(*only, ","))
	case s.cpuProfile != "" || s.memProfile != "":
		s.only, err = chosen([]string{"redis"})
	case *full:
		s.only = everything()
	default:
		s.only = short()
	}
	return s, err
}

func run(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	begin := time.Now()
	l, err := measure.Open(ctx, s.Settings, stderr)
	if err != nil {
		return err
	}
	defer l.Server.Stop()
	f := &figures{Go: runtime.Version(), Redis: l.Server.Version, Processors: runtime.GOMAXPROCS(0), Runs: s.Runs}
	if err := profiled(s, func() error { return f.measure(ctx, l, s) }); err != nil {
		return err
	}
	f.Seconds = time.Since(begin).Seconds()
	if s.docs != "" {
		if err := f.document(s.docs); err != nil {
			return err
		}
	}
	if s.json {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(f)
	}
	return f.write(stdout)
}

func (f *figures) measure(ctx context.Context, l *measure.Runner, s settings) (err error) {
	list := slices.DeleteFunc(allRows(), func(row rows.Row) bool { return !s.only[row.Name] })
	if f.Table, err = table.Measure(ctx, l, list, s.only); err != nil {
		return err
	}
	if f.Targets, err = target.Measure(ctx, l, allRows(), s.only); err != nil {
		return err
	}
	if s.only[costs] {
		if f.Costs, err = table.Costs(ctx, l); err != nil {
			return err
		}
	}
	f.Curves, err = curve.Measure(ctx, l, s.only, s.curves)
	return err
}

// profiled runs f with the profiles of the settings.
func profiled(s settings, f func() error) (err error) {
	if s.cpuProfile != "" {
		file, err := os.Create(s.cpuProfile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if s.memProfile == "" {
		return f()
	}
	runtime.MemProfileRate = 4 << 10
	if err := f(); err != nil {
		return err
	}
	file, err := os.Create(s.memProfile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
