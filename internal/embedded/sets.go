package embedded

func setCommands() map[string]command {
	return map[string]command{
		"SADD": {-3, (*call).sadd}, "SREM": {-3, (*call).srem}, "SMEMBERS": {2, (*call).smembers},
		"SCARD": {2, (*call).scard}, "SISMEMBER": {3, (*call).sismember},
		"SRANDMEMBER": {-2, (*call).srandom},
	}
}

func (c *call) sadd() {
	m, ok := find[*set](c, c.args[0])
	if !ok {
		return
	}
	if m == nil {
		m = newOrdered[struct{}]()
		c.s.store(c.args[0], m)
	}
	c.count(c.args[1:], func(member string) bool { return m.put(member, struct{}{}) })
}

func (c *call) srem() {
	m, ok := find[*set](c, c.args[0])
	if !ok {
		return
	}
	c.count(c.args[1:], m.remove)
	if m != nil && m.len() == 0 {
		c.s.remove(c.args[0])
	}
}

func (c *call) smembers() {
	m, ok := find[*set](c, c.args[0])
	if !ok {
		return
	}
	c.out.array(m.len())
	for member := range m.all() {
		c.out.bulk(member)
	}
}

func (c *call) scard() {
	if m, ok := find[*set](c, c.args[0]); ok {
		c.out.integer(int64(m.len()))
	}
}

func (c *call) sismember() {
	if m, ok := find[*set](c, c.args[0]); ok {
		_, there := m.get(c.args[1])
		c.flag(there)
	}
}

// srandom replies with one random member or, if a count is given, with a list of that many. A
// negative count allows repetition.
func (c *call) srandom() {
	if len(c.args) > 2 {
		c.out.fail(errSyntax)
		return
	}
	var count int64
	if len(c.args) == 2 {
		var ok bool
		if count, ok = c.number(c.args[1]); !ok {
			return
		}
	}
	switch m, ok := find[*set](c, c.args[0]); {
	case !ok:
	case len(c.args) == 2:
		c.texts(m.sample(count))
	case m.len() == 0:
		c.out.null()
	default:
		c.out.bulk(m.sample(1)[0])
	}
}
