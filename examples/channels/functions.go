package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// A Hit is a request of the log.
type Hit struct {
	Host  string `json:"host"`
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

// parse reads a line of the log.
func parse(_ context.Context, line string) (Hit, error) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return Hit{}, fmt.Errorf("no request in %q", line)
	}
	n, err := strconv.Atoi(fields[9])
	return Hit{fields[0], fields[6], n}, err
}

// report makes a text of a hit.
func report(_ context.Context, hit Hit) (string, error) {
	return fmt.Sprintf("%6d bytes of %s for %s", hit.Bytes, hit.Path, hit.Host), nil
}
