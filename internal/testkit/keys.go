package testkit

import (
	"context"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Keys returns the names of all keys on a server that match pattern, sorted. It may be called from
// a Cleanup.
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
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		t.Fatalf("scan %s for %q: %v", url, pattern, err)
	}
	slices.Sort(keys)
	return slices.Compact(keys) // SCAN may return a key twice
}
