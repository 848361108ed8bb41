package testkit

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Miniredis starts a miniredis, on which many users run their own tests, and returns its
// address. It ends with the test.
func Miniredis(t testing.TB) string {
	t.Helper()
	return "redis://" + miniredis.RunT(t).Addr()
}
