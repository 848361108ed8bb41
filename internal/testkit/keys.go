package testkit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Keys returns the names of all keys on a server that match pattern, sorted, but not of the records of flows
// that have gone: these stay. It may be called from a Cleanup.
func Keys(t testing.TB, url, pattern string) []string {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
	defer cancel()
	var keys []string
	scan := client.Scan(ctx, 0, pattern, 1000).Iterator()
	for scan.Next(ctx) {
		if !strings.HasSuffix(scan.Val(), "}:runs") {
			keys = append(keys, scan.Val())
		}
	}
	if err := scan.Err(); err != nil {
		t.Fatalf("scan %s for %q: %v", url, pattern, err)
	}
	slices.Sort(keys)
	return slices.Compact(keys) // SCAN may return a key twice
}
