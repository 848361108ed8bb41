package embedded

import (
	"math"
	"slices"
	"strings"
)

func zsetCommands() map[string]command {
	return map[string]command{
		"ZADD": {-4, (*call).zadd}, "ZREM": {-3, (*call).zrem}, "ZSCORE": {3, (*call).zscore}, "ZCARD": {2, (*call).zcard},
		"ZINCRBY": {4, (*call).zincr}, "ZCOUNT": {4, (*call).zcount}, "ZRANGE": {-4, (*call).zrange}, "ZREVRANGE": {-4, (*call).zrange},
		"ZRANGEBYSCORE": {-4, (*call).zscores}, "ZREVRANGEBYSCORE": {-4, (*call).zscores},
		"ZREMRANGEBYRANK": {4, (*call).zremRanks}, "ZREMRANGEBYSCORE": {4, (*call).zremScores},
	}
}

// zset returns the sorted set of the first argument. It creates the set if the key does not exist.
func (c *call) zset() (z *zset, ok bool) {
	if z, ok = find[*zset](c, c.args[0]); ok && z == nil {
		z = newZset()
		c.s.store(c.args[0], z)
	}
	return z, ok
}

// zadd supports the options NX and XX.
func (c *call) zadd() {
	pairs, only := c.args[1:], strings.ToUpper(c.args[1])
	if only == "NX" || only == "XX" {
		pairs = pairs[1:]
	}
	if len(pairs) == 0 || len(pairs)%2 == 1 {
		c.out.fail(errSyntax)
		return
	}
	scores := make([]float64, len(pairs)/2)
	for i := range scores {
		score, err := parseScore(pairs[2*i])
		if err != nil {
			c.out.fail(errFloat)
			return
		}
		scores[i] = score
	}
	z, ok := find[*zset](c, c.args[0])
	if !ok || z == nil && only == "XX" {
		if ok {
			c.out.integer(0)
		}
		return
	}
	z, _ = c.zset()
	added := 0
	for i, score := range scores {
		member := pairs[2*i+1]
		if _, there := z.score(member); there && only == "NX" || !there && only == "XX" {
			continue
		}
		if z.put(member, score) {
			added++
		}
	}
	c.out.integer(int64(added))
}

func (c *call) zincr() {
	by, err := parseScore(c.args[1])
	if err != nil {
		c.out.fail(errFloat)
		return
	}
	z, ok := find[*zset](c, c.args[0])
	if !ok {
		return
	}
	score, _ := z.score(c.args[2])
	if score += by; math.IsNaN(score) {
		c.out.fail("ERR resulting score is not a number (NaN)")
		return
	}
	z, _ = c.zset()
	z.put(c.args[2], score)
	c.out.bulk(formatScore(score))
}

func (c *call) zrem() {
	z, ok := find[*zset](c, c.args[0])
	if !ok {
		return
	}
	c.count(c.args[1:], z.remove)
	c.removeEmpty(z)
}

// removeEmpty removes a sorted set that has become empty.
func (c *call) removeEmpty(z *zset) {
	if z != nil && z.len() == 0 {
		c.s.remove(c.args[0])
	}
}

func (c *call) zscore() {
	z, ok := find[*zset](c, c.args[0])
	if !ok {
		return
	}
	if score, there := z.score(c.args[1]); there {
		c.out.bulk(formatScore(score))
	} else {
		c.out.null()
	}
}

func (c *call) zcard() {
	if z, ok := find[*zset](c, c.args[0]); ok {
		c.out.integer(int64(z.len()))
	}
}

func (c *call) zcount() {
	if _, list, ok := c.scores(c.args[1], c.args[2]); ok {
		c.out.integer(int64(len(list)))
	}
}

// A rangeOptions is the options of a range command.
type rangeOptions struct {
	byScore, reverse, withScores bool
	offset, count                int64
}

// pick parses the options of a range command. If ok is false, it has replied with an error.
func (c *call) pick(options []string) (p rangeOptions, ok bool) {
	p.count = -1
	for i := 0; i < len(options); i++ {
		switch strings.ToUpper(options[i]) {
		case "WITHSCORES":
			p.withScores = true
		case "BYSCORE":
			p.byScore = true
		case "REV":
			p.reverse = true
		case "LIMIT":
			if i+2 >= len(options) {
				c.out.fail(errSyntax)
				return p, false
			}
			if p.offset, ok = c.number(options[i+1]); !ok {
				return p, false
			}
			if p.count, ok = c.number(options[i+2]); !ok {
				return p, false
			}
			i += 2
		default:
			c.out.fail(errSyntax)
			return p, false
		}
	}
	return p, true
}

// reply replies with the selected part of a range, which is in ascending order.
func (p rangeOptions) reply(c *call, list []scored) {
	at := func(i int) scored { return list[i] }
	if p.reverse {
		at = func(i int) scored { return list[len(list)-1-i] }
	}
	if p.offset < 0 { // Redis replies with an empty list then
		list = nil
	}
	first := int(min(max(p.offset, 0), int64(len(list))))
	n := len(list) - first
	if p.count >= 0 {
		n = int(min(p.count, int64(n)))
	}
	if p.withScores {
		c.out.array(2 * n)
	} else {
		c.out.array(n)
	}
	for i := range n {
		m := at(first + i)
		c.out.bulk(m.member)
		if p.withScores {
			c.out.bulk(formatScore(m.score))
		}
	}
}

// zrange implements ZRANGE and ZREVRANGE.
func (c *call) zrange() {
	p, ok := c.pick(c.args[3:])
	if !ok {
		return
	}
	if p.byScore {
		c.between(p)
		return
	}
	p.reverse = p.reverse || is(c.name, "ZREVRANGE")
	z, from, to, ok := c.ranks()
	switch {
	case !ok:
	case from == to:
		c.out.array(0)
	case p.reverse:
		p.reply(c, z.list[z.len()-to:z.len()-from])
	default:
		p.reply(c, z.list[from:to])
	}
}

// zscores implements ZRANGEBYSCORE and ZREVRANGEBYSCORE.
func (c *call) zscores() {
	if p, ok := c.pick(c.args[3:]); ok {
		p.reverse = is(c.name, "ZREVRANGEBYSCORE")
		c.between(p)
	}
}

// between replies with the members between two scores. In reverse order the higher bound comes
// first.
func (c *call) between(p rangeOptions) {
	low, high := c.args[1], c.args[2]
	if p.reverse {
		low, high = high, low
	}
	if _, list, ok := c.scores(low, high); ok {
		p.reply(c, list)
	}
}

func (c *call) zremRanks() {
	if z, from, to, ok := c.ranks(); ok {
		c.zcut(z, z.elements()[from:to])
	}
}

// ranks returns the sorted set of the first argument, and the index range of the next two
// arguments. If ok is false, it has replied with an error.
func (c *call) ranks() (z *zset, from, to int, ok bool) {
	first, ok := c.number(c.args[1])
	if !ok {
		return nil, 0, 0, false
	}
	last, ok := c.number(c.args[2])
	if !ok {
		return nil, 0, 0, false
	}
	if z, ok = find[*zset](c, c.args[0]); ok {
		from, to = indexRange(first, last, z.len())
	}
	return z, from, to, ok
}

func (c *call) zremScores() {
	if z, list, ok := c.scores(c.args[1], c.args[2]); ok {
		c.zcut(z, list)
	}
}

// zcut removes a part of the list of a sorted set.
func (c *call) zcut(z *zset, list []scored) {
	for _, m := range slices.Clone(list) {
		z.remove(m.member)
	}
	c.out.integer(int64(len(list)))
	c.removeEmpty(z)
}
