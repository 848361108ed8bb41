package embedded

import (
	"math"
	"strconv"
	"strings"
	"time"
)

func stringCommands() map[string]command {
	return map[string]command{
		"SET": {-3, (*call).set}, "SETNX": {3, (*call).setNew}, "GET": {2, (*call).get}, "MGET": {-2, (*call).getAll}, "STRLEN": {2, (*call).strlen},
		"INCR": {2, (*call).incr}, "INCRBY": {3, (*call).incr},
	}
}

func (c *call) get() {
	v := c.s.keys[c.args[0]]
	if v == nil {
		c.out.null()
		return
	}
	if text, ok := find[string](c, v.key); ok {
		c.out.bulk(text)
	}
}

func (c *call) getAll() {
	c.out.array(len(c.args))
	for _, key := range c.args {
		if v := c.s.keys[key]; v == nil {
			c.out.null()
		} else if text, ok := v.data.(string); ok {
			c.out.bulk(text)
		} else {
			c.out.null()
		}
	}
}

func (c *call) strlen() {
	if text, ok := find[string](c, c.args[0]); ok {
		c.out.integer(int64(len(text)))
	}
}

func (c *call) setNew() {
	missing := c.s.keys[c.args[0]] == nil
	if missing {
		c.s.store(c.args[0], c.args[1])
	}
	c.flag(missing)
}

// set supports the options NX, XX, PX, EX and KEEPTTL.
func (c *call) set() {
	key, data, old := c.args[0], c.args[1], c.s.keys[c.args[0]]
	due, refused := int64(forever), false
	for i := 2; i < len(c.args); i++ {
		switch option := strings.ToUpper(c.args[i]); {
		case option == "NX":
			refused = old != nil
		case option == "XX":
			refused = old == nil
		case option == "KEEPTTL":
			if old != nil {
				due = old.due
			}
		case (option == "PX" || option == "EX") && i+1 < len(c.args):
			i++
			n, ok := c.number(c.args[i])
			if !ok {
				return
			}
			if n <= 0 {
				c.out.fail("ERR invalid expire time in 'set' command")
				return
			}
			if option == "EX" {
				n *= time.Second.Milliseconds()
			}
			due = c.s.ms() + n
		default:
			c.out.fail(errSyntax)
			return
		}
	}
	if refused {
		c.out.null()
		return
	}
	c.s.store(key, data)
	c.s.setDue(c.s.keys[key], due)
	c.ok()
}

func (c *call) incr() {
	text, ok := find[string](c, c.args[0])
	if !ok {
		return
	}
	by := int64(1)
	if len(c.args) == 2 {
		if by, ok = c.number(c.args[1]); !ok {
			return
		}
	}
	due := int64(forever)
	if v := c.s.keys[c.args[0]]; v != nil {
		due = v.due
	} else {
		text = "0"
	}
	if n, ok := c.sum(text, by); ok {
		c.s.store(c.args[0], strconv.FormatInt(n, 10))
		c.s.setDue(c.s.keys[c.args[0]], due)
		c.out.integer(n)
	}
}

// sum adds by to a number. If ok is false, it has replied with an error.
func (c *call) sum(text string, by int64) (n int64, ok bool) {
	if n, ok = c.number(text); !ok {
		return 0, false
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		c.out.fail("ERR increment or decrement would overflow")
		return 0, false
	}
	return n + by, true
}
