// Package metrics exports the state of dqbridge to Prometheus. There are two kinds of metrics. A
// Worker has those of one worker, from its memory. A Fleet has those of a whole namespace, from
// reads of its own. Neither sends a command to Redis when it is scraped. A program should register
// one of the two kinds: both count the same items.
//
// The page docs/metrics.md lists the metrics. Other packages of dqbridge do not import this one, so
// only programs that import it link the client library of Prometheus.
package metrics

import (
	"errors"
	"fmt"
)

// defaultSeries is the number of stages and of queues with series of their own.
const defaultSeries = 2000

// An Option is an option of NewWorker and NewFleet.
type Option func(*options) error

type options struct{ series int }

// MaxSeries bounds the number of stages with series of their own, and likewise that of queues. The
// most active ones have them, as long as they exist; the series of all others are added up with the
// label "_other". The default is 2000. n must be at least 1; otherwise the call with the option
// returns an error.
func MaxSeries(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fmt.Errorf("metrics: MaxSeries(%d): it must be at least 1", n)
		}
		o.series = n
		return nil
	}
}

func optionsOf(opts []Option) (options, error) {
	o := options{series: defaultSeries}
	for _, opt := range opts {
		if opt == nil {
			return o, errors.New("metrics: one of the options is nil")
		}
		if err := opt(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}
