// Package builtin is the functions that every worker can serve without code
// of its own: to try out a fleet, and to check it.
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

// Functions returns all of them:
//
//   - inc: int to int, x+1, which wraps around at the largest int
//   - double: int to int, 2x, which wraps around too
//   - upper: string to string, in upper case as of Unicode, other bytes
//     as they are
//   - fail: int to int, x itself; every multiple of 3, and so 0, fails at
//     every attempt
//   - sleep: string to string, the input after as long as it says: a duration
//     of Go such as 10ms, or a number of seconds such as 0.5; anything else and
//     less than 0 is an error
//   - sha256file: string to string, the line that `sha256sum -- PATH` prints for
//     the file of that path on the worker, without the newline at its end; what
//     cannot be read fails as there. Even "-" is the name of a file. A named
//     pipe is waited for, whatever the context.
//
// The functions are stateless. When their context ends, sleep and sha256file
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
			b.WriteByte(s[i]) // it is no text
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

// duration reads a duration of Go, or a number of seconds.
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
