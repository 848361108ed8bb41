package embedded

import (
	"strings"
	"time"
)

func keyCommands() map[string]command {
	return map[string]command{
		"DEL": {-2, (*call).del}, "UNLINK": {-2, (*call).del}, "EXISTS": {-2, (*call).exists}, "TYPE": {2, (*call).kind},
		"EXPIRE": {3, (*call).expire}, "PEXPIRE": {3, (*call).expire}, "EXPIREAT": {3, (*call).expire}, "PEXPIREAT": {3, (*call).expire},
		"TTL": {2, (*call).ttl}, "PTTL": {2, (*call).ttl}, "PERSIST": {2, (*call).persist},
		"KEYS": {2, (*call).find}, "SCAN": {-2, (*call).scan}, "HSCAN": {-3, (*call).scan}, "SSCAN": {-3, (*call).scan}, "ZSCAN": {-3, (*call).scan},
	}
}

func (c *call) del() { c.count(c.args, c.s.remove) }

func (c *call) exists() { c.count(c.args, func(key string) bool { return c.s.keys[key] != nil }) }

func (c *call) kind() { c.out.status(c.s.kind(c.args[0])) }

func (s *Server) kind(key string) string {
	v := s.keys[key]
	if v == nil {
		return "none"
	}
	switch v.data.(type) {
	case string:
		return "string"
	case *hash:
		return "hash"
	case *set:
		return "set"
	case *zset:
		return "zset"
	}
	return "stream"
}

// unit returns the unit of a lifetime in milliseconds: 1 for commands whose name begins with P,
// otherwise 1000.
func (c *call) unit() int64 {
	if strings.HasPrefix(strings.ToUpper(c.name), "P") {
		return 1
	}
	return time.Second.Milliseconds()
}

func (c *call) expire() {
	n, ok := c.number(c.args[1])
	if !ok {
		return
	}
	due := n * c.unit()
	if !strings.HasSuffix(strings.ToUpper(c.name), "AT") {
		due += c.s.ms()
	}
	v := c.s.keys[c.args[0]]
	switch {
	case v == nil:
	case due <= c.s.ms():
		c.s.remove(v.key)
	default:
		c.s.setDue(v, due)
	}
	c.flag(v != nil)
}

func (c *call) ttl() {
	v := c.s.keys[c.args[0]]
	switch {
	case v == nil:
		c.out.integer(-2)
	case v.due == forever:
		c.out.integer(-1)
	default:
		unit := c.unit()
		c.out.integer((v.due - c.s.ms() + unit/2) / unit)
	}
}

func (c *call) persist() {
	v := c.s.keys[c.args[0]]
	limited := v != nil && v.due < forever
	if limited {
		c.s.setDue(v, forever)
	}
	c.flag(limited)
}

func (c *call) find() { c.texts(c.s.list(c.args[0])) }

// scan implements SCAN, HSCAN, SSCAN and ZSCAN. It ignores COUNT and replies with all elements.
func (c *call) scan() {
	options := c.args[1:]
	if !is(c.name, "SCAN") {
		options = c.args[2:]
	}
	pattern := "*"
	for i := 0; i+1 < len(options); i += 2 {
		if is(options[i], "MATCH") {
			pattern = options[i+1]
		}
	}
	list, ok := []string(nil), true
	switch strings.ToUpper(c.name) {
	case "HSCAN":
		var h *hash
		h, ok = find[*hash](c, c.args[0])
		for field, v := range h.all() {
			if matches(pattern, field) {
				list = append(list, field, v)
			}
		}
	case "SSCAN":
		var m *set
		m, ok = find[*set](c, c.args[0])
		for member := range m.all() {
			if matches(pattern, member) {
				list = append(list, member)
			}
		}
	case "ZSCAN":
		var z *zset
		z, ok = find[*zset](c, c.args[0])
		for _, m := range z.elements() {
			if matches(pattern, m.member) {
				list = append(list, m.member, formatScore(m.score))
			}
		}
	default:
		list = c.s.list(pattern)
	}
	if ok {
		c.out.array(2)
		c.out.bulk("0")
		c.texts(list)
	}
}
