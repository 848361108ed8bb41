// Command scale measures the costs of a batch and of an item, forecasts the throughput of fleets and
// Clusters, and compares small Clusters on this machine with their forecasts:
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

func measure(ctx context.Context, runs int, w *strings.Builder) error {
	s, err := redisd.Start(ctx)
	if err != nil {
		return err
	}
	s.Stop()
	units, err := scale.Measure(ctx, runs, os.Stderr)
	if err != nil {
		return err
	}
	checks, err := units.Checks(ctx, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n\n```\n", report.Machine(s.Version))
	err = report.Parts(w, units.Write, func(w io.Writer) error { return scale.WriteChecks(w, checks) }, units.WriteForecasts)
	w.WriteString("```\n")
	return err
}
