package main

import (
	"context"
	_ "embed"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/workers"
)

//go:embed capitals.csv
var capitals string

// A Trip is the input of the function.
type Trip struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// distance is the great-circle distance of two capitals in kilometres.
var distance = workers.Define("distance", func(_ context.Context, trip Trip) (int, error) {
	from, err := find(trip.From)
	if err != nil {
		return 0, err
	}
	to, err := find(trip.To)
	if err != nil {
		return 0, err
	}
	const radius = 6371
	sinLat, sinLong := math.Sin((to.lat-from.lat)/2), math.Sin((to.long-from.long)/2)
	h := sinLat*sinLat + math.Cos(from.lat)*math.Cos(to.lat)*sinLong*sinLong
	return int(math.Round(2 * radius * math.Asin(math.Sqrt(h)))), nil
})

// A place is a point of the earth in radians.
type place struct{ lat, long float64 }

// find returns the place of a capital. An unknown one is a final error: a further attempt would not find it either.
func find(city string) (place, error) {
	rows, err := csv.NewReader(strings.NewReader(capitals)).ReadAll()
	if err != nil {
		return place{}, err
	}
	for _, row := range rows[1:] {
		if row[0] != city {
			continue
		}
		lat, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return place{}, err
		}
		long, err := strconv.ParseFloat(row[3], 64)
		return place{lat * math.Pi / 180, long * math.Pi / 180}, err
	}
	return place{}, workers.Permanent(fmt.Errorf("unknown capital %q", city))
}
