package embedded

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A testBroker is a broker on which reads block.
type testBroker struct {
	*redis.Client
	blocked func() int // number of blocked connections
}

// onBoth runs a test on the embedded broker and on a real server.
func onBoth(t *testing.T, test func(t *testing.T, s testBroker)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		s := New()
		t.Cleanup(s.Close)
		test(t, testBroker{client(t, s), s.blocked})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		c := redis.NewClient(&redis.Options{Addr: testkit.StartRedis(t).Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		test(t, testBroker{c, func() (n int) {
			_, text, _ := strings.Cut(c.Info(t.Context(), "clients").Val(), "blocked_clients:")
			_, _ = fmt.Sscan(text, &n)
			return n
		}})
	})
}

// blocked returns the number of blocked connections.
func (s *Server) blocked() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.waiter != nil {
			n++
		}
	}
	return n
}

// wait starts a read, waits until it blocks, and returns the channel for its reply.
func (s testBroker) wait(t *testing.T, n int, args ...any) <-chan string {
	t.Helper()
	replies := make(chan string, 1)
	go func() {
		reply, err := s.Do(t.Context(), args...).Result()
		if err != nil {
			replies <- err.Error()
			return
		}
		replies <- fmt.Sprint(reply)
	}()
	testkit.Eventually(t, func() bool { return s.blocked() == n }, "a read that waits")
	return replies
}

func (s testBroker) must(t *testing.T, command string) {
	t.Helper()
	var args []any
	for _, arg := range strings.Fields(command) {
		args = append(args, arg)
	}
	if err := s.Do(t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%s: %v", command, err)
	}
}

func TestBlockedReadEndsAsInRedis(t *testing.T) {
	t.Parallel()
	group := []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "BLOCK", 0, "STREAMS", "a", "b", ">", ">"}
	for name, test := range map[string]struct {
		read  []any
		after []string // commands
		want  string   // prefix of the reply; "": it stays blocked
	}{
		"an entry":               {group, []string{"XADD b 1-1 f v"}, "[[b [[1-1 [f v]]]]]"},
		"an entry of one behind": {group, []string{"XADD other 1-1 f v", "XADD a 1-1 f v"}, "[[a [[1-1 [f v]]]]]"},
		"an entry of one it names twice": {[]any{"XREAD", "BLOCK", 0, "STREAMS", "a", "a", "$", "$"}, []string{"XADD a 1-1 f v"},
			"[[a [[1-1 [f v]]]]]"},
		"entries of one pipeline":  {group, []string{"XADD a 1-1 f v", "XADD a 1-2 f v"}, "[[a [[1-1 [f v]]]]]"},
		"an entry that is read":    {group, []string{"XGROUP SETID a g 9-9", "XADD a 1-1 f v"}, ""},
		"no stream":                {group, []string{"DEL a"}, "UNBLOCKED"},
		"no group":                 {group, []string{"XGROUP DESTROY a g"}, "NOGROUP"},
		"another type":             {group, []string{"SET a text"}, "UNBLOCKED"},
		"all is flushed":           {group, []string{"FLUSHALL"}, "UNBLOCKED"},
		"without a group":          {[]any{"XREAD", "BLOCK", 0, "STREAMS", "a", "$"}, []string{"XADD a 1-1 f v"}, "[[a [[1-1 [f v]]]]]"},
		"a stream that comes":      {[]any{"XREAD", "BLOCK", 0, "STREAMS", "new", "b", "0", "0"}, []string{"XADD new 1-1 f v"}, "[[new [[1-1 [f v]]]]]"},
		"a stream that goes":       {[]any{"XREAD", "BLOCK", 0, "STREAMS", "a", "0"}, []string{"DEL a", "SET a text"}, ""},
		"another type, no group":   {[]any{"XREAD", "BLOCK", 0, "STREAMS", "a", "0"}, []string{"SET a text"}, ""},
		"nothing behind an id":     {[]any{"XREAD", "BLOCK", 0, "STREAMS", "a", "7"}, []string{"XADD a 1-1 f v"}, ""},
		"nothing for so long":      {[]any{"XREAD", "BLOCK", 1, "STREAMS", "a", "$"}, nil, redis.Nil.Error()},
		"nothing for so long, too": {[]any{"XREADGROUP", "GROUP", "g", "c", "BLOCK", 1, "STREAMS", "a", ">"}, nil, redis.Nil.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, s testBroker) {
				s.must(t, "XGROUP CREATE a g $ MKSTREAM")
				s.must(t, "XGROUP CREATE b g $ MKSTREAM")
				if test.after == nil {
					if reply, err := s.Do(t.Context(), test.read...).Result(); !errors.Is(err, redis.Nil) {
						t.Errorf("the reply is %v, %v", reply, err)
					}
					return
				}
				replies := s.wait(t, 1, test.read...)
				for _, command := range test.after {
					s.must(t, command)
				}
				if test.want == "" {
					s.must(t, "PING")
					if n := s.blocked(); n != 1 {
						t.Errorf("%d reads wait, the reply is %s", n, <-replies)
					}
					return
				}
				if got := <-replies; !strings.HasPrefix(got, test.want) {
					t.Errorf("the reply is %s", got)
				}
			})
		})
	}
}

func TestBlockedReadsAreServedInOrder(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s testBroker) {
		s.must(t, "XGROUP CREATE a g $ MKSTREAM")
		first := s.wait(t, 1, "XREADGROUP", "GROUP", "g", "first", "BLOCK", 0, "STREAMS", "a", ">")
		second := s.wait(t, 2, "XREADGROUP", "GROUP", "g", "second", "BLOCK", 0, "STREAMS", "a", ">")
		for i, replies := range []<-chan string{first, second} {
			s.must(t, fmt.Sprintf("XADD a %d-1 f v", i+1))
			if got, want := <-replies, fmt.Sprintf("[[a [[%d-1 [f v]]]]]", i+1); got != want {
				t.Errorf("reader %d has %s", i, got)
			}
		}
	})
}

// A script is one step: entries that it adds and reads itself end no blocked read. If it adds to
// two streams, a blocked read gets the one to which the script added first.
func TestScriptIsAtomicForBlockedReads(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s testBroker) {
		s.must(t, "XGROUP CREATE a g $ MKSTREAM")
		s.must(t, "XGROUP CREATE b g $ MKSTREAM")
		replies := s.wait(t, 1, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "a", "b", ">", ">")
		run := func(script string) {
			if err := s.Eval(t.Context(), script, nil).Err(); err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
		}
		run(`redis.call('XADD', 'a', '1-1', 'f', 'v') redis.call('XREADGROUP', 'GROUP', 'g', 'other', 'STREAMS', 'a', '>')`)
		if n := s.blocked(); n != 1 {
			t.Fatalf("the read has %s", <-replies)
		}
		run(`redis.call('XADD', 'b', '1-1', 'f', 'v') redis.call('XADD', 'a', '3-1', 'f', 'v')`)
		if got := <-replies; got != "[[b [[1-1 [f v]]]]]" {
			t.Errorf("the read has %s", got)
		}
	})
}

// Commands queued after a blocked read run when it has ended, in their order.
func TestCommandsAfterBlockedRead(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s testBroker) {
		piped := make(chan []redis.Cmder, 1)
		go func() {
			cmds, _ := s.Pipelined(t.Context(), func(p redis.Pipeliner) error {
				p.Do(t.Context(), "XREAD", "BLOCK", 0, "STREAMS", "a", "$")
				p.Set(t.Context(), "k", "v", 0)
				p.XAdd(t.Context(), &redis.XAddArgs{Stream: "b", ID: "1-1", Values: []any{"f", "v"}})
				return nil
			})
			piped <- cmds
		}()
		testkit.Eventually(t, func() bool { return s.blocked() == 1 }, "a read that waits")
		behind := s.wait(t, 2, "XREAD", "BLOCK", 0, "STREAMS", "b", "$")
		if err := s.Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("a command has overtaken the read: %v", err)
		}
		s.must(t, "XADD a 1-1 f v")
		replies := <-piped
		for i, want := range []string{"[[a [[1-1 [f v]]]]]", "OK", "1-1"} {
			if got := replies[i].String(); !strings.HasSuffix(got, want) {
				t.Errorf("reply %d is %s", i, got)
			}
		}
		if got := <-behind; got != "[[b [[1-1 [f v]]]]]" {
			t.Errorf("the other read has %s", got)
		}
	})
}

// Blocked reads and lifetimes use the clock of the bubble.
func TestTimeoutsUseVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New()
		defer s.Close()
		c := client(t, s)
		began := time.Now()
		err := c.XRead(t.Context(), &redis.XReadArgs{Streams: []string{"a", "$"}, Block: 2 * time.Second}).Err()
		if took := time.Since(began); took != 2*time.Second || !errors.Is(err, redis.Nil) {
			t.Errorf("a read of 2 s took %v, %v", took, err)
		}
		if err := c.Set(t.Context(), "k", "v", 10*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		for _, seconds := range []int{10, 7, 1} {
			if left := c.PTTL(t.Context(), "k").Val(); left != time.Duration(seconds)*time.Second {
				t.Errorf("%v are left, not %d s", left, seconds)
			}
			<-time.After(map[int]time.Duration{10: 3 * time.Second, 7: 6 * time.Second, 1: time.Second + time.Millisecond}[seconds])
		}
		if n := c.Exists(t.Context(), "k").Val(); n != 0 || len(s.expires) != 0 {
			t.Errorf("%d keys, %d lifetimes are left", n, len(s.expires))
		}
	})
}
