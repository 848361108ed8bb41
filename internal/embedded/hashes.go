package embedded

import (
	"strconv"
	"strings"
)

func hashCommands() map[string]command {
	return map[string]command{
		"HSET": {-4, (*call).hset}, "HSETNX": {4, (*call).hsetNew}, "HGET": {3, (*call).hget}, "HMGET": {-3, (*call).hgetSome},
		"HGETALL": {2, (*call).hgetAll}, "HKEYS": {2, (*call).hgetAll}, "HVALS": {2, (*call).hgetAll},
		"HDEL": {-3, (*call).hdel}, "HEXISTS": {3, (*call).hexists}, "HINCRBY": {4, (*call).hincr}, "HLEN": {2, (*call).hlen},
	}
}

// hash returns the hash of the first argument. It creates the hash if the key does not exist.
func (c *call) hash() (h *hash, ok bool) {
	if h, ok = find[*hash](c, c.args[0]); ok && h == nil {
		h = newOrdered[string]()
		c.s.store(c.args[0], h)
	}
	return h, ok
}

func (c *call) hset() {
	if len(c.args)%2 == 0 {
		c.out.fail("ERR wrong number of arguments for 'hset' command")
		return
	}
	h, ok := c.hash()
	if !ok {
		return
	}
	added := 0
	for i := 1; i < len(c.args); i += 2 {
		if h.put(c.args[i], c.args[i+1]) {
			added++
		}
	}
	c.out.integer(int64(added))
}

func (c *call) hsetNew() {
	h, ok := c.hash()
	if !ok {
		return
	}
	_, there := h.get(c.args[1])
	if !there {
		h.put(c.args[1], c.args[2])
	}
	c.flag(!there)
}

func (c *call) hget() {
	if h, ok := find[*hash](c, c.args[0]); ok {
		c.field(h, c.args[1])
	}
}

func (c *call) hgetSome() {
	h, ok := find[*hash](c, c.args[0])
	if !ok {
		return
	}
	c.out.array(len(c.args) - 1)
	for _, field := range c.args[1:] {
		c.field(h, field)
	}
}

func (c *call) field(h *hash, field string) {
	if v, there := h.get(field); there {
		c.out.bulk(v)
	} else {
		c.out.null()
	}
}

// hgetAll implements HGETALL, HKEYS and HVALS.
func (c *call) hgetAll() {
	h, ok := find[*hash](c, c.args[0])
	if !ok {
		return
	}
	name := strings.ToUpper(c.name)
	if name == "HGETALL" {
		c.out.array(2 * h.len())
	} else {
		c.out.array(h.len())
	}
	for field, v := range h.all() {
		if name != "HVALS" {
			c.out.bulk(field)
		}
		if name != "HKEYS" {
			c.out.bulk(v)
		}
	}
}

func (c *call) hdel() {
	h, ok := find[*hash](c, c.args[0])
	if !ok {
		return
	}
	c.count(c.args[1:], h.remove)
	if h != nil && h.len() == 0 {
		c.s.remove(c.args[0])
	}
}

func (c *call) hexists() {
	if h, ok := find[*hash](c, c.args[0]); ok {
		_, there := h.get(c.args[1])
		c.flag(there)
	}
}

func (c *call) hlen() {
	if h, ok := find[*hash](c, c.args[0]); ok {
		c.out.integer(int64(h.len()))
	}
}

func (c *call) hincr() {
	by, ok := c.number(c.args[2])
	if !ok {
		return
	}
	h, ok := find[*hash](c, c.args[0])
	if !ok {
		return
	}
	old, stored := h.get(c.args[1])
	if !stored {
		old = "0"
	}
	if n, ok := c.sum(old, by); ok {
		h, _ = c.hash()
		h.put(c.args[1], strconv.FormatInt(n, 10))
		c.out.integer(n)
	}
}
