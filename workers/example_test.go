package workers_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/workers"
)

func ExampleDefine() {
	parse := workers.Define("parse", func(_ context.Context, text string) (int, error) {
		return strconv.Atoi(strings.TrimSpace(text))
	})
	fmt.Println(parse.Name(), parse.Err())

	events := workers.Define("events", func(_ context.Context, n int) (chan int, error) {
		return make(chan int, n), nil
	})
	fmt.Println(events.Err())
	// Output:
	// parse <nil>
	// function "events": its output: `json` cannot encode chan int: use a type of plain data, or a codec that can
}

func ExampleDefineBatch() {
	// One query for all keys that travel together. A key that is missing fails
	// alone.
	table := map[string]int{"one": 1, "two": 2}
	lookUp := workers.DefineBatch("lookup", func(_ context.Context, keys []string) ([]int, error) {
		values, missing := make([]int, len(keys)), workers.Errors{}
		for i, key := range keys {
			value, ok := table[key]
			if !ok {
				missing[i] = fmt.Errorf("no key %q", key)
			}
			values[i] = value
		}
		return values, missing
	})
	fmt.Println(lookUp.Name(), lookUp.Err())
	// Output: lookup <nil>
}
