package testkit

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

// timeout is the time limit of a condition.
const timeout = 30 * time.Second

// Eventually returns when cond holds. It fails the test if that takes more than 30 seconds; what
// describes the condition.
func Eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	if !poll(cond, timeout) {
		t.Fatalf("waited %v in vain: %s", timeout, what)
	}
}

func poll(cond func() bool, limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return cond()
		}
	}
	return true
}

// Namespace returns a name that no other test has: the test's own name and a random suffix, of
// lower-case letters, digits and dashes. It separates tests that share a server.
func Namespace(t testing.TB) string {
	t.Helper()
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	return clean + "-" + strings.ToLower(rand.Text()[:10])
}
