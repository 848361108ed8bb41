package executor

import (
	"context"
	"fmt"
	"strings"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// failed adds to the location of an item that a failure of it is known: it is in a dead letter, or it is
// the sample of a group of failures. It is "" otherwise. source is the name of the source in the last
// queue of the item. It reads all dead letters of the partition.
func (i inspector) failed(ctx context.Context, part *broker.Client, stages []broker.Stage, source string, offset int64) (string, error) {
	for after := ""; ; {
		page, err := part.Dead(ctx, after, deadPageSize)
		if err != nil {
			return "", err
		}
		for _, d := range page {
			e := d.Entry
			if holds(source, offset, e) {
				return fmt.Sprintf("; it is in dead letter %s of queue %s (%s: %s)", deadID(part, e.ID), e.Queue, d.Why.Code, d.Why.Message), nil
			}
			after = e.ID
		}
		if len(page) < deadPageSize {
			break
		}
	}
	groups, err := stageErrors(ctx, part, stages)
	if err != nil {
		return "", err
	}
	for _, g := range groups {
		if name, at := broker.Ancestor(g.Source, g.Offset); isBranch(source, name) && at == offset {
			return fmt.Sprintf("; it has failed in stage %s (%s: %s)", g.Stage, g.Code, g.Message), nil
		}
	}
	return "", nil
}

// holds reports whether the entry of a dead letter has an item, or outputs for it.
func holds(source string, offset int64, e broker.Entry) bool {
	name, first := broker.Ancestor(e.Source, e.First)
	end := e.First + int64(max(1, e.N))
	if name != e.Source {
		end = first + 1
	}
	return isBranch(source, name) && first <= offset && offset < end
}

// forgotten is the location of an item of a source that is not there.
func (i inspector) forgotten(ctx context.Context, source string, offset int64) ([]inspect.Location, error) {
	at := inspect.Location{State: inspect.Gone, Text: "the source is delivered to its end and forgotten, or it was never there"}
	for _, part := range i.parts {
		stages, err := part.Stages(ctx)
		if err != nil {
			return nil, err
		}
		failed, err := i.failed(ctx, part, stages, source, offset)
		if err != nil {
			return nil, err
		}
		at.Text += failed
	}
	return []inspect.Location{at}, nil
}

// isBranch tells whether a source is another one, or a branch of it behind a multiplex.
func isBranch(source, of string) bool {
	return of != "" && (source == of || strings.HasPrefix(source, of+"~"))
}
