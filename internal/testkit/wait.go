package testkit

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

// patience is how long a condition may take before a test gives up.
const patience = 30 * time.Second

// Eventually returns when cond holds, and fails the test if it does not within
// 30 seconds; what tells what was waited for.
func Eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	if !poll(cond, patience) {
		t.Fatalf("waited %v in vain: %s", patience, what)
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

// Namespace returns a name that no other test has, of lower-case letters,
// digits and dashes: the test's own name and a random end. It is what keeps
// tests apart that share a server.
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
