// Command scale measures the costs of a batch, of an item and of a fleet, forecasts the throughput of fleets
// and Clusters, and compares small ones on this machine with their forecasts. It takes half an hour:
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
	"path/filepath"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/scale"
	"github.com/dqbridge/dqbridge/bench/internal/wide"
)

func main() { process.Main("scale", process.Roles(), run) }

func run(ctx context.Context, args []string) error {
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
		return report.Replace(filepath.Join(*docs, "scale.md"), figures.String())
	}
	_, err := io.WriteString(os.Stdout, figures.String())
	return err
}

// fleetWorkers and fleetStages are the fleets of the table of costs.
var (
	fleetWorkers = []int{10, 100, 300, 1000}
	fleetStages  = []int{10, 100, 1000, 5000}
)

// smallNodes is the setting of redis-server that is compared with its default.
const smallNodes = "stream-node-max-entries 10"

func measure(ctx context.Context, runs int, w *strings.Builder) error {
	s, err := redisd.Start(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	units, err := scale.Measure(ctx, runs, os.Stderr)
	if err != nil {
		return err
	}
	if err := units.MeasureDear(ctx, s, os.Stderr); err != nil {
		return err
	}
	fleets, err := units.CheckFleets(ctx, s, os.Stderr)
	if err != nil {
		return err
	}
	checks, err := units.Checks(ctx, os.Stderr)
	if err != nil {
		return err
	}
	plain, tuned := wide.Loads(), wide.Loads()
	if err := measureLoads(ctx, plain, tuned); err != nil {
		return err
	}
	costs, err := wide.Measure(ctx, s, fleetWorkers, fleetStages, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n\n```\n", report.Machine(s.Version))
	err = report.Parts(w, units.Write,
		func(w io.Writer) error { return scale.WriteChecks(w, checks) },
		func(w io.Writer) error { return units.WriteDear(w, fleets) },
		func(w io.Writer) error { return wide.WriteLoads(w, plain, tuned, smallNodes) },
		func(w io.Writer) error { return wide.Write(w, costs) },
		units.WriteForecasts)
	w.WriteString("```\n")
	return err
}

// measureLoads measures each load on a plain server and on one with small nodes, in turns.
func measureLoads(ctx context.Context, plain, tuned []wide.Load) error {
	setting, value, _ := strings.Cut(smallNodes, " ")
	for i := range plain {
		for l, settings := range map[*wide.Load][]string{&plain[i]: nil, &tuned[i]: {"--" + setting, value}} {
			s, err := redisd.Start(ctx, settings...)
			if err != nil {
				return err
			}
			err = l.Measure(ctx, s, os.Stderr)
			s.Stop()
			if err != nil {
				return err
			}
		}
	}
	return nil
}
