package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// A Gravity is the result of a task.
type Gravity struct {
	Planet   string  `json:"planet"`
	Gravity  float64 `json:"gravity"` // in m/s² at the surface
	Attempts int     `json:"attempts"`
}

// errBusy stands for a service that asks for a pause.
var errBusy = errors.New("the catalog is busy")

// gravity is the handler of the tasks. Its input is a line of planets.csv: name, radius in km, mass in 10^24 kg.
var gravity = workers.Define("gravity", func(ctx context.Context, row string) (Gravity, error) {
	columns := strings.Split(row, ",")
	if len(columns) != 3 || columns[1] == "" { // no attempt would find more
		return Gravity{}, workers.Permanent(fmt.Errorf("nothing is known of %s", columns[0]))
	}
	task, _ := workers.ItemFrom(ctx)
	if columns[0] == "Saturn" && task.Attempt == 1 {
		return Gravity{}, workers.RetryAfter(errBusy, 100*time.Millisecond)
	}
	radius, err := strconv.ParseFloat(columns[1], 64)
	if err != nil {
		return Gravity{}, workers.Permanent(err)
	}
	mass, err := strconv.ParseFloat(columns[2], 64)
	if err != nil {
		return Gravity{}, workers.Permanent(err)
	}
	const constant = 6.6743e-11 // m³/(kg s²)
	return Gravity{columns[0], constant * mass * 1e24 / (radius * radius * 1e6), task.Attempt}, nil
})
