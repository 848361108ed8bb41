package workers

import (
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
)

var errNoBatch = errors.New("it is no batch: its source is missing, or its offset and number of items are none")

// unreadable makes a dead letter of an entry that is no batch. It has no place
// in any stream that a result could go to.
func unreadable(j job, why error) completion {
	d := requeue(j.route, j.entry)
	d.replace.Dead = &batch.Failure{
		Code: batch.CodeDecode, Message: "malformed entry: " + why.Error(), Stage: j.route.stage.ID, Function: j.route.stage.Function,
	}
	return d
}

// poison makes a dead letter of an item that kills its workers, and puts a
// failure in its place.
func (l *session) poison(j job) completion {
	s := j.route.stage
	why := &batch.Failure{
		Code: batch.CodeCrashed, Stage: s.ID, Function: s.Function, Attempts: j.entry.Attempts,
		Message: fmt.Sprintf("%d workers died while they ran the function on it; it is kept as a dead letter", j.entry.Crashes),
	}
	var b batch.Builder
	b.Failure(*why)
	d := requeue(j.route, j.entry)
	d.replace.Dead = why
	out := batch.Batch{Source: j.entry.Source, First: j.entry.First, N: 1, Frame: b.Take()}
	if err := d.results(s, out); err != nil {
		return unreadable(j, err)
	}
	l.failed.Add(1)
	return d
}
