package soak

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// An inventory counts the data in Redis: keys, fields of hashes, members of sets, entries, groups
// and consumers of streams, by their names without random parts and numbers.
type inventory map[string]int64

var (
	random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{4,}|[0-9]+`)
	prefix = regexp.MustCompile(`^\{[^}]*\}:`)
)

// bounded lists the counts that may grow, with their bounds.
var bounded = map[string]func(i inventory, durable int64) int64{
	// A mailbox keeps the last hints, including those that were read.
	"entries p:#": func(i inventory, _ int64) int64 { return 1000 * i["keys p:#"] },
	"pending p:#": func(i inventory, _ int64) int64 { return 1000 * i["keys p:#"] },
	// The last flows that have gone have one key with about 2,000 records; MAXLEN is not exact.
	"keys runs":    func(inventory, int64) int64 { return 1 },
	"entries runs": func(inventory, int64) int64 { return 2200 },
	// Each of the two workers may or may not have read the requeued entries.
	"consumers r:orders": func(inventory, int64) int64 { return 2 },
	// An ended durable source leaves one field in a hash, which only a scatter of its name reads.
	"fields named:orders site-#": func(_ inventory, durable int64) int64 { return durable },
}

// counters lists the hashes in which workers count the work of a stage, by the beginning of their
// names, with the fields that each may have: totals and buckets of a histogram, two rings, error groups.
var counters = map[string]int{"t:": 200, "h:": 120, "err:": 64}

// take returns an inventory of all keys of a server.
func take(ctx context.Context, raw *redis.Client) (inventory, error) {
	found := inventory{}
	keys, err := raw.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		name := random.ReplaceAllString(prefix.ReplaceAllString(key, ""), "#")
		if name == "watcher" { // a few numbers, some of them temporary
			continue
		}
		mortal, err := raw.PTTL(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		if mortal > 0 && strings.HasPrefix(name, "f:") { // the result of a function for an abandoned future
			continue
		}
		kind, err := raw.Type(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		if kind == "none" { // it was deleted meanwhile
			continue
		}
		found["keys "+name]++
		switch kind {
		case "hash":
			fields, err := raw.HKeys(ctx, key).Result()
			if err != nil {
				return nil, err
			}
			kind, _, _ := strings.Cut(name, ":")
			if most := counters[kind+":"]; most > 0 {
				found["fields beyond the bound of "+name] += int64(max(0, len(fields)-most))
				continue
			}
			for _, field := range fields {
				found["fields "+name+" "+random.ReplaceAllString(field, "#")]++
			}
		case "set":
			found["members "+name] += raw.SCard(ctx, key).Val()
		case "zset":
			found["members "+name] += raw.ZCard(ctx, key).Val()
		case "stream":
			found["entries "+name] += raw.XLen(ctx, key).Val()
			groups, err := raw.XInfoGroups(ctx, key).Result()
			if err != nil && !strings.Contains(err.Error(), "no such key") { // it was deleted after Type
				return nil, err
			}
			for _, g := range groups {
				found["consumers "+name] += g.Consumers
				found["pending "+name] += g.Pending
			}
		}
	}
	maps.DeleteFunc(found, func(_ string, n int64) bool { return n == 0 })
	return found, nil
}

// changed lists the counts that differ from an earlier inventory, and those beyond their bound.
// durable is the number of durable sources so far.
func (i inventory) changed(before inventory, durable int64) (lines []string) {
	names := maps.Clone(before)
	maps.Copy(names, i)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		bound, most := bounded[name], before[name]
		if bound != nil {
			most = bound(i, durable)
		}
		if i[name] > most || bound == nil && i[name] != most {
			lines = append(lines, fmt.Sprintf("%s: %d, expected %d", name, i[name], most))
		}
	}
	return lines
}

// total sums the counts of one kind.
func (i inventory) total(kind string) (n int64) {
	for name, count := range i {
		if strings.HasPrefix(name, kind+" ") {
			n += count
		}
	}
	return n
}
