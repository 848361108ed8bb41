package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// retryDelay is the pause before a result that was not written comes again.
const retryDelay = 100 * time.Millisecond

// An Element is the result of one row.
type Element struct {
	Symbol   string `json:"symbol"`
	Neutrons int    `json:"neutrons"`
}

// neutrons computes the neutrons of an element from its row: number, symbol, name, mass. An element without a
// standard mass, such as "[209]", is an error of its row alone.
var neutrons = workers.Define("neutrons", func(ctx context.Context, row []string) (Element, error) {
	if len(row) != 4 {
		return Element{}, fmt.Errorf("a row of %d columns", len(row))
	}
	number, err := strconv.Atoi(row[0])
	if err != nil {
		return Element{}, err
	}
	mass, err := strconv.ParseFloat(row[3], 64)
	if err != nil {
		return Element{}, fmt.Errorf("%s has no standard mass", row[2])
	}
	select { // in place of a slow service
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
		return Element{}, context.Cause(ctx)
	}
	return Element{row[1], int(math.Round(mass)) - number}, nil
})
