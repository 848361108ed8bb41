package main

import (
	"context"
	_ "embed"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

//go:embed capitals.csv
var capitals string

// A Trip is the input of a request.
type Trip struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// A Leg is the result of the first function and the input of the second one.
type Leg struct {
	From Place `json:"from"`
	To   Place `json:"to"`
}

// A Place is a point of the earth in radians.
type Place struct {
	Lat  float64 `json:"lat"`
	Long float64 `json:"long"`
}

// kilometres are two functions for one request. They may run in different workers.
var kilometres = executor.Chain(locate, distance)

var (
	locate   = workers.Define("locate", findBoth)
	distance = workers.Define("distance", greatCircle)
)

// findBoth returns the places of two capitals.
func findBoth(_ context.Context, trip Trip) (leg Leg, err error) {
	if leg.From, err = find(trip.From); err != nil {
		return leg, err
	}
	leg.To, err = find(trip.To)
	return leg, err
}

// greatCircle returns the distance of two places in kilometres.
func greatCircle(_ context.Context, leg Leg) (int, error) {
	const radius = 6371
	sinLat, sinLong := math.Sin((leg.To.Lat-leg.From.Lat)/2), math.Sin((leg.To.Long-leg.From.Long)/2)
	h := sinLat*sinLat + math.Cos(leg.From.Lat)*math.Cos(leg.To.Lat)*sinLong*sinLong
	return int(math.Round(2 * radius * math.Asin(math.Sqrt(h)))), nil
}

// find returns the place of a capital. An unknown one is a final error: a further attempt would not find it either.
func find(city string) (Place, error) {
	rows, err := csv.NewReader(strings.NewReader(capitals)).ReadAll()
	if err != nil {
		return Place{}, err
	}
	for _, row := range rows[1:] {
		if row[0] != city {
			continue
		}
		lat, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return Place{}, err
		}
		long, err := strconv.ParseFloat(row[3], 64)
		return Place{lat * math.Pi / 180, long * math.Pi / 180}, err
	}
	return Place{}, workers.Permanent(fmt.Errorf("unknown capital %q", city))
}
