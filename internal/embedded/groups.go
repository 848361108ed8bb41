package embedded

import (
	"slices"
	"strings"
)

func groupCommands() map[string]command {
	return map[string]command{
		"XGROUP": {-3, (*call).xgroup}, "XINFO": {-3, (*call).xinfo}, "XACK": {-4, (*call).xack}, "XPENDING": {-3, (*call).xpending},
		"XCLAIM": {-6, (*call).xclaim}, "XAUTOCLAIM": {-6, (*call).xautoclaim},
		"XREAD": {-4, (*call).xread}, "XREADGROUP": {-7, (*call).xreadgroup},
	}
}

// group returns a group of a stream. If ok is false, it has replied with an error.
func (c *call) group(key, name string) (s *stream, g *group, ok bool) {
	s, ok = find[*stream](c, key)
	if !ok {
		return nil, nil, false
	}
	if s != nil {
		g, _ = s.groups.get(name)
	}
	if g == nil {
		c.out.fail("NOGROUP No such key '" + key + "' or consumer group '" + name + "'")
	}
	return s, g, g != nil
}

func (c *call) xgroup() {
	if len(c.args) < 3 {
		c.out.fail(errSyntax)
		return
	}
	sub, key, name := strings.ToUpper(c.args[0]), c.args[1], c.args[2]
	s, ok := find[*stream](c, key)
	if !ok {
		return
	}
	if s == nil && sub == "CREATE" && len(c.args) > 4 && is(c.args[4], "MKSTREAM") {
		s = newStream()
		c.s.store(key, s)
	}
	if s == nil {
		c.out.fail("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option " +
			"to create an empty stream automatically.")
		return
	}
	g, there := s.groups.get(name)
	switch {
	case sub == "CREATE" && len(c.args) >= 4:
		c.create(s, name, c.args[3])
	case sub == "DESTROY":
		c.flag(s.groups.remove(name))
		c.s.changed(key)
	case !there:
		c.out.fail("NOGROUP No such consumer group '" + name + "' for key name '" + key + "'")
	case sub == "SETID" && len(c.args) == 4:
		if last, ok := c.start(s, c.args[3]); ok {
			g.last = last
			c.ok()
		}
	case sub == "CREATECONSUMER" && len(c.args) == 4:
		_, known := g.consumers.get(c.args[3])
		if !known {
			g.consumer(c.args[3], c.s.ms())
		}
		c.flag(!known)
	case sub == "DELCONSUMER" && len(c.args) == 4:
		c.out.integer(int64(g.forget(c.args[3])))
	default:
		c.out.fail(errSyntax)
	}
}

// start parses the id at which a group starts.
func (c *call) start(s *stream, text string) (id, bool) {
	if text == "$" {
		return s.last, true
	}
	i, ok := parseID(text, 0)
	if !ok {
		c.out.fail(errStreamID)
	}
	return i, ok
}

func (c *call) create(s *stream, name, start string) {
	if _, there := s.groups.get(name); there {
		c.out.fail("BUSYGROUP Consumer Group name already exists")
		return
	}
	if last, ok := c.start(s, start); ok {
		s.groups.put(name, newGroup(last))
		c.ok()
	}
}

// forget removes a consumer and its pending entries, and returns their number.
func (g *group) forget(name string) int {
	c, there := g.consumers.get(name)
	if !there {
		return 0
	}
	if c.held > 0 {
		g.pending = slices.DeleteFunc(g.pending, func(p pending) bool { return p.owner == c })
	}
	g.consumers.remove(name)
	return c.held
}

// sorted returns the consumers by name.
func (g *group) sorted() []*consumer {
	var list []*consumer
	for _, name := range g.consumers.sorted() {
		c, _ := g.consumers.get(name)
		list = append(list, c)
	}
	return list
}

func (c *call) xinfo() {
	s, ok := find[*stream](c, c.args[1])
	if !ok {
		return
	}
	sub := strings.ToUpper(c.args[0])
	switch {
	case s == nil:
		c.out.fail("ERR no such key")
	case sub == "GROUPS" && len(c.args) == 2:
		c.out.array(s.groups.len())
		for _, name := range s.groups.sorted() {
			g, _ := s.groups.get(name)
			c.info(name, g)
		}
	case sub == "CONSUMERS" && len(c.args) == 3:
		if _, g, ok := c.group(c.args[1], c.args[2]); ok {
			list := g.sorted()
			c.out.array(len(list))
			for _, consumer := range list {
				c.out.array(6)
				c.out.bulk("name")
				c.out.bulk(consumer.name)
				c.out.bulk("pending")
				c.out.integer(int64(consumer.held))
				c.out.bulk("idle")
				c.out.integer(c.s.ms() - consumer.seen)
			}
		}
	default:
		c.out.fail(errSyntax)
	}
}

// info replies with the description of a group. It does not count entries read and lag.
func (c *call) info(name string, g *group) {
	c.out.array(12)
	c.out.bulk("name")
	c.out.bulk(name)
	c.out.bulk("consumers")
	c.out.integer(int64(g.consumers.len()))
	c.out.bulk("pending")
	c.out.integer(int64(len(g.pending)))
	c.out.bulk("last-delivered-id")
	c.out.bulk(g.last.String())
	c.out.bulk("entries-read")
	c.out.null()
	c.out.bulk("lag")
	c.out.null()
}

func (c *call) xack() {
	s, ok := find[*stream](c, c.args[0])
	if !ok {
		return
	}
	var g *group
	if s != nil {
		g, _ = s.groups.get(c.args[1])
	}
	if g == nil {
		c.out.integer(0)
		return
	}
	if ids, ok := c.ids(c.args[2:]); ok {
		c.tally(ids, g.release)
	}
}

func (c *call) xpending() {
	args, idle := c.args[2:], int64(0)
	if len(args) == 0 {
		if _, g, ok := c.group(c.args[0], c.args[1]); ok {
			c.summary(g)
		}
		return
	}
	if is(args[0], "IDLE") && len(args) > 1 {
		var ok bool
		if idle, ok = c.number(args[1]); !ok {
			return
		}
		args = args[2:]
	}
	if len(args) != 3 && len(args) != 4 {
		c.out.fail(errSyntax)
		return
	}
	from, to, ok := c.bounds(args[0], args[1])
	if !ok {
		return
	}
	count, ok := c.number(args[2])
	if !ok {
		return
	}
	_, g, ok := c.group(c.args[0], c.args[1])
	if !ok {
		return
	}
	at, _ := g.at(from)
	var found []pending
	for _, p := range g.pending[at:] {
		if p.id.compare(to) > 0 || int64(len(found)) >= count {
			break
		}
		if (len(args) == 3 || p.owner.name == args[3]) && c.s.ms()-p.at >= idle {
			found = append(found, p)
		}
	}
	c.out.array(len(found))
	for _, p := range found {
		c.out.array(4)
		c.out.bulk(p.id.String())
		c.out.bulk(p.owner.name)
		c.out.integer(c.s.ms() - p.at)
		c.out.integer(p.count)
	}
}

// summary replies with the number of pending entries, their lowest and highest id, and their
// consumers.
func (c *call) summary(g *group) {
	c.out.array(4)
	c.out.integer(int64(len(g.pending)))
	if len(g.pending) == 0 {
		c.out.null()
		c.out.null()
		c.out.nullArray()
		return
	}
	c.out.bulk(g.pending[0].id.String())
	c.out.bulk(g.pending[len(g.pending)-1].id.String())
	list := slices.DeleteFunc(g.sorted(), func(c *consumer) bool { return c.held == 0 })
	c.out.array(len(list))
	for _, consumer := range list {
		c.texts([]string{consumer.name, formatScore(float64(consumer.held))})
	}
}
