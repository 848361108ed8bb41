package top

import (
	"fmt"
	"io"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// Print writes a view once, as plain text: the banner, and all rows of each pane.
func Print(w io.Writer, v watch.View, place string) error {
	for _, line := range banner(v, doctor.Urgent(v.Findings()), place, time.Now()) {
		if _, err := fmt.Fprintln(w, plain(line)); err != nil {
			return cli.AsOutput(err)
		}
	}
	for _, p := range panes() {
		p.load(v)
		if err := p.print(w); err != nil {
			return err
		}
	}
	return nil
}
