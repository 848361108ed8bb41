package embedded

import (
	"strings"
	"time"
)

// A read is the state of XREAD or, with a group, XREADGROUP.
type read struct {
	group, consumer string
	count           int
	noAck           bool
	block           bool
	wait            time.Duration // if it blocks; 0: no timeout
	keys            []string
	from            []from
}

// from is the position of a read in a stream. With a group it selects the consumer's pending
// entries after id, or with fresh the entries that no consumer has read.
type from struct {
	id    id
	fresh bool
}

func (c *call) xread() { c.reads(read{}, c.args) }

func (c *call) xreadgroup() {
	if !is(c.args[0], "GROUP") {
		c.out.fail(errSyntax)
		return
	}
	c.reads(read{group: c.args[1], consumer: c.args[2]}, c.args[3:])
}

// reads replies at once if a stream has entries. Otherwise it blocks, if the read may block.
func (c *call) reads(r read, args []string) {
	if !c.parse(&r, args) {
		return
	}
	if r.block && c.conn == nil {
		c.out.fail("ERR " + strings.ToLower(c.name) + " command is not allowed with BLOCK option from scripts")
		return
	}
	streams, ok := c.open(&r)
	if !ok {
		return
	}
	var found []delivered
	for _, o := range streams {
		if o.has() {
			found = append(found, delivered{o.key, o.deliver(&r, c.s.ms())})
		}
	}
	switch {
	case len(found) > 0:
		c.delivered(found)
	case r.block:
		c.s.block(c.conn, r)
	default:
		c.out.nullArray()
	}
}

// parse parses the options and the streams. If it returns false, it has replied with an error.
func (c *call) parse(r *read, args []string) bool {
	for len(args) > 0 && !is(args[0], "STREAMS") {
		option := strings.ToUpper(args[0])
		if r.group != "" && option == "NOACK" {
			r.noAck, args = true, args[1:]
			continue
		}
		if len(args) < 2 || option != "COUNT" && option != "BLOCK" {
			c.out.fail(errSyntax)
			return false
		}
		n, ok := c.number(args[1])
		if !ok {
			return false
		}
		if option == "COUNT" {
			r.count = int(max(n, 0))
		} else if r.block, r.wait = true, time.Duration(n)*time.Millisecond; n < 0 {
			c.out.fail("ERR timeout is negative")
			return false
		}
		args = args[2:]
	}
	if len(args) < 3 || len(args)%2 == 0 {
		c.out.fail("ERR Unbalanced '" + strings.ToLower(c.name) + "' list of streams: for each stream key an ID or '$' must be specified.")
		return false
	}
	n := len(args) / 2
	r.keys, r.from = args[1:1+n], make([]from, n)
	for i, text := range args[1+n:] {
		var ok bool
		switch {
		case text == ">" && r.group != "":
			r.from[i].fresh, ok = true, true
		case text == "$" && r.group == "":
			var s *stream
			if s, ok = find[*stream](c, r.keys[i]); !ok {
				return false
			}
			if s != nil {
				r.from[i].id = s.last
			}
		default:
			r.from[i].id, ok = parseID(text, 0)
		}
		if !ok {
			c.out.fail(errStreamID)
			return false
		}
	}
	return true
}

// openStream is a stream of a read, with its group.
type openStream struct {
	key    string
	stream *stream // nil: the stream does not exist
	group  *group  // nil: XREAD
	from   from
}

// open looks up the streams and groups of a read. If ok is false, it has replied with an error.
func (c *call) open(r *read) (list []openStream, ok bool) {
	list = make([]openStream, len(r.keys))
	for i, key := range r.keys {
		s, ok := find[*stream](c, key)
		if !ok {
			return nil, false
		}
		list[i] = openStream{key: key, stream: s, from: r.from[i]}
		if r.group == "" {
			continue
		}
		if s != nil {
			list[i].group, _ = s.groups.get(r.group)
		}
		if list[i].group == nil {
			c.out.fail("NOGROUP No such key '" + key + "' or consumer group '" + r.group + "' in XREADGROUP with GROUP option")
			return nil, false
		}
	}
	return list, true
}

// has reports whether the stream has entries for the read.
func (o openStream) has() bool {
	switch {
	case o.stream == nil:
		return false
	case o.group == nil:
		return o.stream.last.compare(o.from.id) > 0 && len(o.stream.after(o.from.id, 1)) > 0
	case o.from.fresh:
		return o.stream.last.compare(o.group.last) > 0 && len(o.stream.after(o.group.last, 1)) > 0
	}
	return true
}

// deliver returns the entries of a stream for a read. For a group, they become pending with the
// consumer.
func (o openStream) deliver(r *read, now int64) []entry {
	switch {
	case o.group == nil:
		return o.stream.after(o.from.id, r.count)
	case !o.from.fresh:
		return o.held(r, now)
	}
	list := o.stream.after(o.group.last, r.count)
	o.group.last = list[len(list)-1].id
	owner := o.group.consumer(r.consumer, now)
	for _, e := range list {
		if !r.noAck {
			o.group.hold(e.id, owner, now, 1)
		}
	}
	return list
}

// held returns the pending entries of the consumer. A deleted entry has an id only.
func (o openStream) held(r *read, now int64) (list []entry) {
	owner := o.group.consumer(r.consumer, now)
	at, there := o.group.at(o.from.id)
	if there {
		at++
	}
	for ; at < len(o.group.pending) && len(list) < owner.held && (r.count == 0 || len(list) < r.count); at++ {
		p := &o.group.pending[at]
		if p.owner != owner {
			continue
		}
		fields, there := o.stream.fields(p.id)
		if there {
			p.at, p.count = now, p.count+1
		}
		list = append(list, entry{p.id, fields})
	}
	return list
}

// delivered holds the entries of one stream in a reply.
type delivered struct {
	key  string
	list []entry
}

func (c *call) delivered(all []delivered) {
	c.out.array(len(all))
	for _, d := range all {
		c.out.array(2)
		c.out.bulk(d.key)
		c.entries(d.list)
	}
}
