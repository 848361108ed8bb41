package embedded

import (
	"slices"
	"time"
)

// A waiter is a read that blocks until one of its streams has entries.
type waiter struct {
	conn  *conn
	read  read
	timer *time.Timer // nil: no timeout
}

// waiting is an entry in the queue of blocked readers of a key. They are served in their order.
type waiting struct {
	*waiter
	at int // index of the key in its read
}

// block blocks the read of a connection. The caller holds the server's lock.
func (s *Server) block(c *conn, r read) {
	r.keys = slices.Clone(r.keys) // the arguments of a call are valid only while it runs
	w := &waiter{conn: c, read: r}
	c.waiter = w
	for i, key := range r.keys {
		s.waiting[key] = append(s.waiting[key], waiting{w, i})
	}
	if r.wait > 0 {
		w.timer = time.AfterFunc(r.wait, func() { s.timeOut(w) })
	}
}

// unblock ends the blocked read of a connection.
func (s *Server) unblock(w *waiter) {
	w.conn.waiter = nil
	if w.timer != nil {
		w.timer.Stop()
	}
	for _, key := range w.read.keys {
		left := slices.DeleteFunc(s.waiting[key], func(other waiting) bool { return other.waiter == w })
		if len(left) > 0 {
			s.waiting[key] = left
		} else {
			delete(s.waiting, key)
		}
	}
}

// timeOut replies to a blocked read whose timeout has passed.
func (s *Server) timeOut(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.conn.waiter != w {
		return
	}
	s.tick()
	s.unblock(w)
	w.conn.answer(func(out *answers) { out.nullArray() })
	s.resume(w.conn)
	s.serveBlocked()
}

// changed records that the readers blocked on key may have entries.
func (s *Server) changed(key string) {
	if len(s.waiting[key]) > 0 && !s.isReady[key] {
		s.isReady[key] = true
		s.ready = append(s.ready, key)
	}
}

// serveBlocked tries the blocked reads of the keys that the last command has changed, and no
// others.
func (s *Server) serveBlocked() {
	for i := 0; i < len(s.ready); i++ { // a queued command of a connection may change further keys
		key := s.ready[i]
		delete(s.isReady, key)
		for _, w := range slices.Clone(s.waiting[key]) {
			s.work.tries++
			s.tryRead(w, key)
		}
	}
	s.ready = s.ready[:0]
}

// tryRead replies to a blocked read if the stream has entries for it, or if a group reads and the
// stream or the group is gone.
func (s *Server) tryRead(w waiting, key string) {
	if w.conn.waiter != w.waiter { // it already has a reply
		return
	}
	r := w.read
	r.keys, r.from = r.keys[w.at:w.at+1], r.from[w.at:w.at+1]
	replied := w.conn.answer(func(out *answers) {
		c := &call{s: s, out: out}
		switch {
		case s.kind(key) == "stream":
			if list, ok := c.open(&r); ok && list[0].has() {
				c.delivered([]delivered{{key, list[0].deliver(&r, s.ms())}})
			}
		case r.group != "":
			out.fail("UNBLOCKED the stream key no longer exists")
		}
	})
	if replied {
		s.unblock(w.waiter)
		s.resume(w.conn)
	}
}

// resume runs the queued commands after the end of a blocked read.
func (s *Server) resume(c *conn) {
	for c.waiter == nil && len(c.queued) > 0 {
		args := c.queued[0]
		c.queued = c.queued[1:]
		s.do(c, args)
	}
}
