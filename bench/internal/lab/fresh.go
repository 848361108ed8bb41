package lab

import (
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// Fresh runs f with a new Executor that has the slots itself, and removes its data from Redis
// afterwards.
func (l *Lab) Fresh(ctx context.Context, hands int, functions []workers.Function, f func(context.Context, *executor.Executor) error) (err error) {
	bound, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	ex, err := executor.New(bound, l.Server.URL(), executor.Concurrency(hands))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close(), l.Server.Flush(ctx)) }()
	if err := ex.Register(functions...); err != nil {
		return err
	}
	return f(bound, ex)
}

// Turns calls each of fs in turns and returns the median of each.
func (l *Lab) Turns(fs ...func() (float64, error)) ([]float64, error) {
	got := make([][]float64, len(fs))
	for range l.Runs {
		for i, f := range fs {
			v, err := f()
			if err != nil {
				return nil, err
			}
			got[i] = append(got[i], v)
		}
	}
	medians := make([]float64, len(fs))
	for i, list := range got {
		medians[i] = Median(list)
	}
	return medians, nil
}
