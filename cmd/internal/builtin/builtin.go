// Package builtin has the built-in functions of the commands, for trials and checks of a fleet.
package builtin

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dqbridge/dqbridge/workers"
)

// Functions returns the built-in functions:
//
//   - inc: int to int, x+1, which wraps around at the largest int
//   - double: int to int, 2x, which wraps around too
//   - upper: string to string, in the upper case of Unicode; bytes that are
//     not UTF-8 stay as they are
//   - fail: int to int, x; every multiple of 3, including 0, fails at every
//     attempt
//   - sleep: string to string, its input after the time in the input: a
//     duration of Go such as 10ms, or a number of seconds such as 0.5; any
//     other text and a negative time is an error
//   - sha256file: string to string, the output of `sha256sum -- PATH` on the
//     worker, without the newline; the errors are those of sha256sum. "-" is
//     the name of a file. Opening a named pipe blocks, also after the end of
//     the context.
//
// The functions have no state. When their context ends, sleep and sha256file
// return its cause.
func Functions() []workers.Function {
	return []workers.Function{
		workers.Define("inc", inc),
		workers.Define("double", double),
		workers.Define("upper", upper),
		workers.Define("fail", fail),
		workers.Define("sleep", sleep),
		workers.Define("sha256file", sha256file),
	}
}

func inc(_ context.Context, x int) (int, error) { return x + 1, nil }

func double(_ context.Context, x int) (int, error) { return 2 * x, nil }

func upper(_ context.Context, s string) (string, error) {
	if utf8.ValidString(s) {
		return strings.ToUpper(s), nil
	}
	var b strings.Builder
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			b.WriteByte(s[i]) // not UTF-8
			continue
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String(), nil
}

func fail(_ context.Context, x int) (int, error) {
	if x%3 == 0 {
		return 0, fmt.Errorf("%d is a multiple of 3", x)
	}
	return x, nil
}

func sleep(ctx context.Context, text string) (string, error) {
	d, err := duration(text)
	if err != nil {
		return "", err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// duration parses a duration of Go, or a number of seconds.
func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d >= 0 {
		return d, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if ns := seconds * float64(time.Second); err == nil && ns >= 0 && ns < math.MaxInt64 {
		return time.Duration(ns), nil
	}
	return 0, fmt.Errorf("%q is not a duration such as 10ms or a number of seconds from 0 up", text)
}
