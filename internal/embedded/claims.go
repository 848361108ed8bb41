package embedded

import (
	"slices"
	"strings"
)

// A claim is the options of XCLAIM and XAUTOCLAIM: how pending entries move to a consumer.
type claim struct {
	at         int64 // new delivery time, in ms
	retries    int64 // new delivery count; negative: one more
	force      bool  // also claim entries that are not pending
	withoutAll bool  // reply with ids only, and count no delivery
}

// options parses the options of XCLAIM. If ok is false, it has replied with an error.
func (c *call) options(args []string) (o claim, ok bool) {
	o = claim{at: c.s.ms(), retries: -1}
	for i := 0; i < len(args); i++ {
		option, n := strings.ToUpper(args[i]), int64(0)
		switch option {
		case "FORCE":
			o.force = true
			continue
		case "JUSTID":
			o.withoutAll = true
			continue
		case "IDLE", "TIME", "RETRYCOUNT":
			if i++; i == len(args) {
				c.out.fail(errSyntax)
				return o, false
			}
			if n, ok = c.number(args[i]); !ok {
				return o, false
			}
		default:
			c.out.fail("ERR Unrecognized XCLAIM option '" + args[i] + "'")
			return o, false
		}
		switch option {
		case "IDLE":
			o.at = c.s.ms() - n
		case "TIME":
			o.at = n
		default:
			o.retries = n
		}
	}
	return o, true
}

// apply claims one pending entry, which exists.
func (o claim) apply(g *group, p pending, owner *consumer) {
	count := p.count
	switch {
	case o.retries >= 0:
		count = o.retries
	case !o.withoutAll:
		count++
	}
	g.hold(p.id, owner, o.at, count)
}

func (o claim) reply(c *call, list []entry) {
	if !o.withoutAll {
		c.entries(list)
		return
	}
	c.out.array(len(list))
	for _, e := range list {
		c.out.bulk(e.id.String())
	}
}

func (c *call) xclaim() {
	s, g, ok := c.group(c.args[0], c.args[1])
	if !ok {
		return
	}
	idle, ok := c.number(c.args[3])
	if !ok {
		return
	}
	n := 4
	for n < len(c.args) && c.args[n] != "" && c.args[n][0] >= '0' && c.args[n][0] <= '9' {
		n++
	}
	ids, ok := c.ids(c.args[4:n])
	if !ok {
		return
	}
	o, ok := c.options(c.args[n:])
	if !ok {
		return
	}
	var claimed []entry
	for _, i := range ids {
		fields, there := s.fields(i)
		at, held := g.at(i)
		switch {
		case !there:
			g.release(i)
			continue
		case !held && !o.force, held && c.s.ms()-g.pending[at].at < idle:
			continue
		}
		p := pending{id: i, count: 1}
		if held {
			p = g.pending[at]
		}
		o.apply(g, p, g.consumer(c.args[2], c.s.ms()))
		claimed = append(claimed, entry{i, fields})
	}
	o.reply(c, claimed)
}

// xautoclaim examines at most ten times as many entries as it may claim.
func (c *call) xautoclaim() {
	idle, ok := c.number(c.args[3])
	if !ok {
		return
	}
	from, _, ok := c.bounds(c.args[4], "+")
	if !ok {
		return
	}
	o, count := claim{at: c.s.ms(), retries: -1}, int64(100)
	for i := 5; i < len(c.args); i++ {
		switch {
		case is(c.args[i], "JUSTID"):
			o.withoutAll = true
		case is(c.args[i], "COUNT") && i+1 < len(c.args):
			i++
			if count, ok = c.number(c.args[i]); !ok {
				return
			}
		default:
			c.out.fail(errSyntax)
			return
		}
	}
	s, g, ok := c.group(c.args[0], c.args[1])
	if !ok {
		return
	}
	at, _ := g.at(from)
	list := slices.Clone(g.pending[at:])
	var claimed []entry
	var deleted []string
	looked := 0
	for ; looked < len(list) && int64(looked) < 10*count && int64(len(claimed)+len(deleted)) < count; looked++ {
		p := list[looked]
		fields, there := s.fields(p.id)
		switch {
		case !there:
			g.release(p.id)
			deleted = append(deleted, p.id.String())
		case c.s.ms()-p.at >= idle:
			o.apply(g, p, g.consumer(c.args[2], c.s.ms()))
			claimed = append(claimed, entry{p.id, fields})
		}
	}
	next := id{}
	if looked < len(list) {
		next = list[looked].id
	}
	c.out.array(3)
	c.out.bulk(next.String())
	o.reply(c, claimed)
	c.texts(deleted)
}
