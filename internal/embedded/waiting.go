package embedded

import (
	"slices"
	"time"
)

// A waiter is a read that waits until one of its streams has something.
type waiter struct {
	conn  *conn
	read  read
	timer *time.Timer // nil: it waits without an end
}

// waiting is the place of a reader among those that wait for a key: first come, first
// served.
type waiting struct {
	*waiter
	at int // the index of the key in its read
}

// park lets a connection wait. The lock of the server is held.
func (s *Server) park(c *conn, r read) {
	r.keys = slices.Clone(r.keys) // the arguments of a call are valid only while it runs
	w := &waiter{conn: c, read: r}
	c.waiter = w
	for i, key := range r.keys {
		s.waiting[key] = append(s.waiting[key], waiting{w, i})
	}
	if r.wait > 0 {
		w.timer = time.AfterFunc(r.wait, func() { s.elapsed(w) })
	}
}

// unpark ends the wait of a connection.
func (s *Server) unpark(w *waiter) {
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

// elapsed ends a wait in which nothing came.
func (s *Server) elapsed(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.conn.waiter != w {
		return
	}
	s.tick()
	s.unpark(w)
	w.conn.answer(func(out *answers) { out.nullArray() })
	s.resume(w.conn)
	s.serve()
}

// changed notes that those who wait for a key may have something to read.
func (s *Server) changed(key string) {
	if len(s.waiting[key]) > 0 && !s.isReady[key] {
		s.isReady[key] = true
		s.ready = append(s.ready, key)
	}
}

// serve tries the reads of those who wait for what the last command has changed, and only
// theirs.
func (s *Server) serve() {
	for i := 0; i < len(s.ready); i++ { // what a connection runs next may change more
		key := s.ready[i]
		delete(s.isReady, key)
		for _, w := range slices.Clone(s.waiting[key]) {
			s.work.tries++
			s.try(w, key)
		}
	}
	s.ready = s.ready[:0]
}

// try replies to a waiting read if a stream has something for it, or if a group reads and the
// stream or the group is gone.
func (s *Server) try(w waiting, key string) {
	if w.conn.waiter != w.waiter { // it has had its reply
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
		s.unpark(w.waiter)
		s.resume(w.conn)
	}
}

// resume runs the commands behind a wait that has ended.
func (s *Server) resume(c *conn) {
	for c.waiter == nil && len(c.behind) > 0 {
		args := c.behind[0]
		c.behind = c.behind[1:]
		s.do(c, args)
	}
}
