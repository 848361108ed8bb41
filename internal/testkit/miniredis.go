package testkit

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Miniredis starts a miniredis, which many users' tests run on, and returns its URL. It ends with
// the test.
func Miniredis(t testing.TB) string {
	t.Helper()
	return "redis://" + miniredis.RunT(t).Addr()
}
