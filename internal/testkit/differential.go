package testkit

import (
	"bufio"
	"context"
	"crypto/sha1" // Redis names scripts by their SHA-1
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Differential compares a redis-server with a second server that must behave the same. Clients get
// the replies of the redis-server. Differential sends every command to both servers, one after the
// other, and sets the clock of the second one to the time at which the first one ran it. So both
// create the same ids, and all replies must be equal.
type Differential struct {
	t        testing.TB
	at       func(time.Time)
	listener net.Listener
	running  sync.WaitGroup
	closing  chan struct{}

	mu      sync.Mutex
	real    *wire
	twin    *wire
	changed chan struct{}     // closed when a command may have added data
	names   map[string]string // names of scripts, by their hash
	ran     map[string]int
	seen    map[string]bool // known differences that occurred, by their reason
	told    int
	conns   map[net.Conn]bool
}

// maxReported is the number of differences after which a test reports no more.
const maxReported = 10

// NewDifferential starts a redis-server and connects it to its twin; at sets the clock of the twin.
func NewDifferential(t testing.TB, dial func(context.Context, string, string) (net.Conn, error), at func(time.Time)) *Differential {
	t.Helper()
	server := StartRedis(t)
	real, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	twin, err := dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Differential{t: t, at: at, listener: l, closing: make(chan struct{}), real: newWire(real), twin: newWire(twin),
		changed: make(chan struct{}), names: map[string]string{}, ran: map[string]int{}, seen: map[string]bool{}, conns: map[net.Conn]bool{}}
	w.running.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// URL returns redis://host:port.
func (w *Differential) URL() string { return "redis://" + w.Addr() }

// Addr returns the address for clients.
func (w *Differential) Addr() string { return w.listener.Addr().String() }

// Ran returns how often each command was compared, with scripts by name.
func (w *Differential) Ran() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.ran)
}

// Unseen returns the reasons of the known differences that did not occur.
func (w *Differential) Unseen() (unseen []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range differences {
		if !w.seen[d.why] {
			unseen = append(unseen, d.why)
		}
	}
	return unseen
}

func (w *Differential) close() {
	close(w.closing)
	_ = w.listener.Close()
	w.mu.Lock()
	for conn := range w.conns {
		_ = conn.Close()
	}
	w.mu.Unlock()
	w.running.Wait()
	_ = w.real.conn.Close()
	_ = w.twin.conn.Close()
}

func (w *Differential) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.conns[conn] = true
		w.mu.Unlock()
		commands, gone := make(chan []string), make(chan struct{})
		w.running.Go(func() {
			defer close(gone)
			in := bufio.NewReader(conn)
			for {
				c, err := readReply(in)
				if err != nil {
					return
				}
				select {
				case commands <- c.texts():
				case <-w.closing:
					return
				}
			}
		})
		w.running.Go(func() { w.serve(conn, commands, gone) })
	}
}

func (w *Differential) serve(conn net.Conn, commands <-chan []string, gone <-chan struct{}) {
	defer func() {
		_ = conn.Close()
		w.mu.Lock()
		delete(w.conns, conn)
		w.mu.Unlock()
	}()
	for {
		select {
		case c := <-commands:
			if _, err := conn.Write(appendReply(nil, w.answer(c, gone))); err != nil {
				return
			}
		case <-gone:
			return
		case <-w.closing:
			return
		}
	}
}

// answer runs a command. It repeats a blocking command without blocking whenever another command
// may have added data.
func (w *Differential) answer(args []string, gone <-chan struct{}) Reply {
	args, wait := cutBlock(args)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		reply, changed := w.Do(args...)
		if !reply.Null || wait == 0 {
			return reply
		}
		select {
		case <-changed:
		case <-timer.C:
			return reply
		case <-gone:
			return reply
		case <-w.closing:
			return reply
		}
	}
}

func cutBlock(args []string) ([]string, time.Duration) {
	streams := slices.Index(args, "STREAMS")
	if streams < 0 {
		streams = slices.Index(args, "streams")
	}
	for i, arg := range args[:max(streams-1, 0)] {
		if strings.EqualFold(arg, "BLOCK") {
			ms, _ := strconv.Atoi(args[i+1])
			return slices.Delete(slices.Clone(args), i, i+2), time.Duration(ms) * time.Millisecond
		}
	}
	return args, 0
}

var scriptName = regexp.MustCompile(`(?m)^-- (\w+\.lua): `)

// Do runs a command on both servers, compares the replies and returns that of the redis-server. The
// channel is closed when another command may have added data.
func (w *Differential) Do(args ...string) (Reply, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	verb := strings.ToUpper(args[0])
	switch verb {
	case "HELLO":
		if len(args) > 1 && args[1] != "2" {
			return Reply{Kind: '-', Text: "NOPROTO the connections to both are for all clients"}, w.changed
		}
	case "EVAL":
		if name := scriptName.FindStringSubmatch(args[1]); name != nil {
			w.names[fmt.Sprintf("%x", sha1.Sum([]byte(args[1])))] = name[1]
			verb = name[1]
		}
	case "EVALSHA":
		if name := w.names[args[1]]; name != "" {
			verb = name
		}
	}
	real, now, err := w.onReal(args)
	if err != nil {
		w.fail("%s: redis-server: %v", verb, err)
		return Reply{Kind: '-', Text: "ERR " + err.Error()}, w.changed
	}
	w.at(now)
	twins, err := w.twin.do(command(args...))
	if err != nil {
		w.fail("%s: its twin: %v", verb, err)
		return real, w.changed
	}
	w.compareReplies(verb, args, real, twins[0])
	if !strings.HasPrefix(verb, "XREAD") {
		close(w.changed)
		w.changed = make(chan struct{})
	}
	return real, w.changed
}

// Scripts that read the whole content of a redis-server and restore it.
const (
	saved = `local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  all[#all + 1], all[#all + 2], all[#all + 3] = key, tostring(math.max(redis.call('PTTL', key), 0)), redis.call('DUMP', key)
end
return all`
	restored = `for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', key) end
for i = 1, #ARGV, 3 do redis.call('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
return #ARGV`
)

// maxTries is the number of attempts to run a command within one millisecond.
const maxTries = 1000

// onReal runs a command within one millisecond of the redis-server's clock, and returns that time.
// If the clock advances meanwhile, it undoes the command and runs it again.
func (w *Differential) onReal(args []string) (reply Reply, at time.Time, err error) {
	for range maxTries {
		replies, err := w.real.do(command("MULTI"), command("EVAL", saved, "0"), command("TIME"), command(args...), command("TIME"), command("EXEC"))
		if err != nil {
			return reply, at, err
		}
		if replies[3].Kind == '-' { // no valid command
			return replies[3], time.Now().Truncate(time.Millisecond), nil
		}
		done := replies[5].List
		if len(done) != 4 {
			return reply, at, fmt.Errorf("%v", replies)
		}
		began, ended := serverTime(done[1]), serverTime(done[3])
		if began.UnixMilli() == ended.UnixMilli() {
			return done[2], began.Truncate(time.Millisecond), nil
		}
		undone, err := w.real.do(command(append([]string{"EVAL", restored, "0"}, done[0].texts()...)...))
		if err != nil || undone[0].Kind == '-' {
			return reply, at, fmt.Errorf("%v, %w", undone, err)
		}
	}
	return reply, at, fmt.Errorf("it takes more than a millisecond, %d times", maxTries)
}

func serverTime(r Reply) time.Time {
	s, _ := strconv.ParseInt(r.List[0].Text, 10, 64)
	us, _ := strconv.ParseInt(r.List[1].Text, 10, 64)
	return time.Unix(s, us*1000)
}

// compareReplies compares two replies.
func (w *Differential) compareReplies(verb string, args []string, real, twin Reply) {
	w.ran[verb]++
	a, b := comparable(verb, real), comparable(verb, twin)
	if a.String() == b.String() || verb == "PTTL" && similar(a.Text, b.Text) {
		return
	}
	if x, y := without(verb, args, a, -1), without(verb, args, b, -1); x.String() == y.String() {
		for i, d := range differences { // the known differences that apply
			if x, y := without(verb, args, a, i), without(verb, args, b, i); x.String() != y.String() {
				w.seen[d.why] = true
			}
		}
		return
	}
	w.fail("%s %.300q\nredis-server: %.2000s\nits twin:     %.2000s", verb, args[1:], a, b)
}

// similar reports whether two lifetimes in ms differ by less than a second: a command that is undone
// begins the lifetimes of all keys again.
func similar(a, b string) bool {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	return errX == nil && errY == nil && x >= 0 && y >= 0 && max(x, y)-min(x, y) < 1000
}

func (w *Differential) fail(format string, args ...any) {
	if w.told++; w.told <= maxReported {
		w.t.Errorf(format, args...)
	}
}

// comparable removes the parts of a reply that may differ: the order of unordered elements, the
// texts of errors after the first word, and fractions of a millisecond.
func comparable(verb string, r Reply) Reply {
	switch {
	case r.Kind == '-':
		r.Text, _, _ = strings.Cut(r.Text, " ")
	case r.Null:
	case verb == "SMEMBERS" || verb == "SRANDMEMBER" || verb == "KEYS" || verb == "HKEYS" || verb == "HVALS":
		return r.sorted(0, 1)
	case verb == "SSCAN" && len(r.List) == 2:
		return r.with(1, r.List[1].sorted(0, 1))
	case (verb == "HSCAN" || verb == "ZSCAN") && len(r.List) == 2:
		return r.with(1, r.List[1].sorted(0, 2))
	case verb == "HGETALL" || verb == "CONFIG":
		return r.sorted(0, 2)
	case verb == "declare.lua" && len(r.List) > 1:
		return r.with(1, r.List[1].sorted(0, 2))
	case verb == "TIME":
		r.List = []Reply{r.List[0], {Kind: ':', Text: "us"}}
	case verb == "consume.lua" && len(r.List) > 3:
		return r.with(2, r.List[2].sorted(0, 2)).with(3, r.List[3].sorted(0, 2))
	case verb == "heartbeat.lua" && len(r.List) > 5:
		return r.with(5, r.List[5].sorted(0, 2))
	}
	return r
}

func (r Reply) with(i int, v Reply) Reply {
	r.List = slices.Clone(r.List)
	r.List[i] = v
	return r
}

// Compare compares the whole content of the two servers.
func (w *Differential) Compare() {
	keys, _ := w.Do("KEYS", "*")
	for _, key := range keys.texts() {
		kind, _ := w.Do("TYPE", key)
		w.Do("PTTL", key)
		switch kind.Text {
		case "string":
			w.Do("GET", key)
		case "hash":
			w.Do("HGETALL", key)
		case "set":
			w.Do("SMEMBERS", key)
		case "zset":
			w.Do("ZRANGE", key, "0", "-1", "WITHSCORES")
		case "stream":
			w.Do("XRANGE", key, "-", "+")
			groups, _ := w.Do("XINFO", "GROUPS", key)
			for _, group := range groups.List {
				name := group.List[1].Text
				w.Do("XPENDING", key, name, "-", "+", "100000")
				w.Do("XINFO", "CONSUMERS", key, name)
			}
		default:
			w.t.Errorf("%s holds a %s", key, kind)
		}
	}
}
