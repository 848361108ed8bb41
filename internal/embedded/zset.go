package embedded

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A zset is a sorted set.
type zset struct {
	scores     map[string]float64
	maxMembers int      // largest number of members since the map was allocated
	list       []scored // sorted by score, then by member
}

type scored struct {
	score  float64
	member string
}

func (a scored) compare(b scored) int {
	return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.member, b.member))
}

func newZset() *zset { return &zset{scores: map[string]float64{}} }

func (z *zset) len() int { return len(z.elements()) }

func (z *zset) elements() []scored {
	if z == nil {
		return nil
	}
	return z.list
}

func (z *zset) score(member string) (score float64, there bool) {
	if z == nil {
		return 0, false
	}
	score, there = z.scores[member]
	return score, there
}

// put sets a score and reports whether the member is new.
func (z *zset) put(member string, score float64) bool {
	added := !z.remove(member)
	at, _ := slices.BinarySearchFunc(z.list, scored{score, member}, scored.compare)
	z.list = slices.Insert(z.list, at, scored{score, member})
	z.scores[member] = score
	z.maxMembers = max(z.maxMembers, len(z.scores))
	return added
}

// remove reports whether the member existed.
func (z *zset) remove(member string) bool {
	score, there := z.score(member)
	if there {
		at, _ := slices.BinarySearchFunc(z.list, scored{score, member}, scored.compare)
		z.list = deleteAt(z.list, at)
		delete(z.scores, member)
		z.scores, z.maxMembers = shrunk(z.scores, z.maxMembers)
	}
	return there
}

// deleteAt removes one element of a list. It moves the shorter side.
func deleteAt[T any](list []T, at int) []T {
	if at >= len(list)/2 {
		return slices.Delete(list, at, at+1)
	}
	copy(list[1:at+1], list[:at])
	clear(list[:1])
	return list[1:]
}

// scores returns the sorted set of the first argument, and its members between two bounds in the
// syntax of ZRANGEBYSCORE. If ok is false, it has replied with an error.
func (c *call) scores(low, high string) (z *zset, list []scored, ok bool) {
	from, after, err := bound(low)
	to, before, err2 := bound(high)
	if err != nil || err2 != nil {
		c.out.fail("ERR min or max is not a float")
		return nil, nil, false
	}
	z, ok = find[*zset](c, c.args[0])
	first, _ := slices.BinarySearchFunc(z.elements(), from, func(m scored, score float64) int {
		if m.score < score || after && m.score == score {
			return -1
		}
		return 1
	})
	last, _ := slices.BinarySearchFunc(z.elements(), to, func(m scored, score float64) int {
		if m.score < score || !before && m.score == score {
			return -1
		}
		return 1
	})
	return z, z.elements()[first:max(first, last)], ok
}

func bound(text string) (score float64, exclusive bool, err error) {
	text, exclusive = strings.CutPrefix(text, "(")
	score, err = parseScore(text)
	return score, exclusive, err
}

func parseScore(text string) (float64, error) {
	score, err := strconv.ParseFloat(text, 64)
	if err == nil && math.IsNaN(score) {
		return 0, strconv.ErrSyntax
	}
	return score, err
}

// formatScore formats a score as Redis does.
func formatScore(score float64) string {
	switch {
	case math.IsInf(score, 1):
		return "inf"
	case math.IsInf(score, -1):
		return "-inf"
	case score == math.Trunc(score) && math.Abs(score) < 1<<52:
		return strconv.FormatInt(int64(score), 10)
	}
	return strconv.FormatFloat(score, 'g', 17, 64)
}

// indexRange turns the indexes of a command, which may count from the end, into those of a slice.
func indexRange(first, last int64, n int) (from, to int) {
	size := int64(n)
	if first < 0 {
		first = max(first+size, 0)
	}
	if last < 0 {
		last += size
	}
	if last = min(last+1, size); first >= last {
		return 0, 0
	}
	return int(first), int(last)
}
