package embedded

import (
	"fmt"
	"testing"
	"time"
)

// worked runs a command on a connection of its own and returns its work.
func worked(t *testing.T, s *Server, args ...string) work {
	t.Helper()
	conn, err := s.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := s.work
	write(t, conn, request(args...))
	after := s.work
	return work{after.commands - before.commands, after.tries - before.tries, after.expired - before.expired, after.compiled - before.compiled}
}

// A command costs the same with ten or a thousand readers blocked on other keys.
func TestCommandTriesOnlyReadsOfItsKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1000} {
		s := New()
		defer s.Close()
		for i := range n {
			mailbox, queue := fmt.Sprint("mailbox", i), fmt.Sprint("queue", i)
			worked(t, s, "XGROUP", "CREATE", mailbox, "g", "$", "MKSTREAM")
			worked(t, s, "XGROUP", "CREATE", queue, "g", "$", "MKSTREAM")
			conn, err := s.Dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			write(t, conn, request("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", mailbox, queue, ">", ">"))
		}
		for _, test := range []struct {
			args []string
			want work
		}{
			{[]string{"SET", "key", "v"}, work{commands: 1}},
			{[]string{"XADD", "other", "*", "f", "v"}, work{commands: 1}},
			{[]string{"XADD", "queue3", "*", "f", "v"}, work{commands: 1, tries: 1}},
			{[]string{"XADD", "mailbox3", "*", "f", "v"}, work{commands: 1}},
			{[]string{"EVAL", "for i = 1, 9 do redis.call('XADD', 'queue5', '*', 'f', 'v') end", "0"}, work{commands: 1, tries: 1, compiled: 1}},
			{[]string{"EVAL", "for i = 1, 9 do redis.call('XADD', 'queue5', '*', 'f', 'v') end", "0"}, work{commands: 1}},
		} {
			if got := worked(t, s, test.args...); got != test.want {
				t.Errorf("beside %d readers, %q is %+v, not %+v", n, test.args, got, test.want)
			}
		}
		if left := s.blocked(); left != n-2 {
			t.Errorf("%d readers wait of %d", left, n)
		}
	}
}

// A command costs the same with lifetimes on ten or ten thousand keys.
func TestCommandChecksOnlyExpiredKeys(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 10_000} {
		s := New()
		defer s.Close()
		now := time.UnixMilli(1_000_000)
		s.StandAt(now)
		for i := range n {
			worked(t, s, "SET", fmt.Sprint("key", i), "v", "PX", fmt.Sprint(1000+i))
		}
		for i, test := range []struct {
			ms   int
			args []string
			want int
		}{
			{0, []string{"GET", "key3"}, 0},
			{1000, []string{"GET", "key3"}, 0},
			{1001, []string{"GET", "key3"}, 1},
			{1001, []string{"GET", "key3"}, 0},
			{1003, []string{"EVAL", "for i = 1, 100 do redis.call('EXISTS', 'key3') end", "0"}, 2},
			{1003, []string{"PERSIST", "key3"}, 0},
			{1006, []string{"PING"}, 2},
			{1006, []string{"PEXPIRE", "key3", "1"}, 0},
			{1008, []string{"PING"}, 3},
		} {
			s.StandAt(now.Add(time.Duration(test.ms) * time.Millisecond))
			if got := worked(t, s, test.args...); got.expired != test.want || got.commands != 1 {
				t.Errorf("beside %d keys, step %d, %q looks at %d", n, i, test.args, got.expired)
			}
		}
		if len(s.keys) != n-8 || len(s.expires) != n-8 {
			t.Errorf("%d keys and %d lifetimes are left of %d", len(s.keys), len(s.expires), n)
		}
	}
}

// Memory use returns to its start after many keys were created and removed.
func TestRemovedKeysReleaseMemory(t *testing.T) {
	t.Parallel()
	s := New()
	defer s.Close()
	conn, err := s.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		write(t, conn, request(args...))
		reply := make([]byte, 1000)
		n, err := conn.Read(reply)
		if err != nil || reply[0] == '-' {
			t.Fatalf("%q: %q, %v", args, reply[:n], err)
		}
		return string(reply[:n])
	}
	run("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
	for i := range 3000 {
		name := fmt.Sprint(i)
		run("XADD", "s", name+"-1", "f", "v")
		run("HSET", "h", name, "v")
		run("SADD", "m", name)
		run("ZADD", "z", name, name)
		run("SET", "k"+name, "v", "PX", "100000")
		run("XREADGROUP", "GROUP", "g", "c"+name, "COUNT", "1", "STREAMS", "s", ">")
		if i < 10 {
			continue
		}
		old := fmt.Sprint(i - 10)
		run("XACK", "s", "g", old+"-1")
		run("XDEL", "s", old+"-1")
		run("HDEL", "h", old)
		run("SREM", "m", old)
		run("ZREM", "z", old)
		run("UNLINK", "k"+old)
		run("XGROUP", "DELCONSUMER", "s", "g", "c"+old)
	}
	stream := s.keys["s"].data.(*stream)
	group, _ := stream.groups.get("g")
	for what, size := range map[string]int{
		"entries": cap(stream.entries), "pending": cap(group.pending), "consumers": cap(group.consumers.list),
		"fields": cap(s.keys["h"].data.(*hash).list), "members": cap(s.keys["m"].data.(*set).list),
		"scores": cap(s.keys["z"].data.(*zset).list), "members with scores": s.keys["z"].data.(*zset).maxMembers, "lifetimes": cap(s.expires), "keys": len(s.keys), "ready": cap(s.ready),
	} {
		if size > 64 {
			t.Errorf("there is room for %d %s, and 10 are there", size, what)
		}
	}
	run("FLUSHALL")
	if s.maxKeys > 64 {
		t.Errorf("the map of the keys has room for %d", s.maxKeys)
	}
	if len(s.keys)+len(s.expires)+len(s.waiting)+len(s.isReady) > 0 {
		t.Errorf("left are %v, %v, %v, %v", s.keys, s.expires, s.waiting, s.isReady)
	}
}
