package testkit

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
)

// StartFake starts a server that speaks the protocol of Redis. It passes the words of each command
// to answer, with the first one in lower case, and sends its result unchanged, such as "+OK\r\n".
// It returns host:port. The server ends with the test.
func StartFake(t testing.TB, answer func(words []string) string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{answer: answer, conns: map[net.Conn]struct{}{}}
	f.group.Go(func() { f.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		f.close()
		f.group.Wait()
	})
	return l.Addr().String()
}

type fake struct {
	answer func(words []string) string
	group  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

func (f *fake) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.closed {
			_ = conn.Close()
		} else {
			f.conns[conn] = struct{}{}
			f.group.Go(func() { f.serve(conn) })
		}
		f.mu.Unlock()
	}
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		command, err := readReply(r)
		words := command.texts()
		if err != nil || len(words) == 0 {
			return
		}
		words[0] = strings.ToLower(words[0])
		if _, err := conn.Write([]byte(f.answer(words))); err != nil {
			return
		}
	}
}

func (f *fake) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for conn := range f.conns {
		_ = conn.Close()
	}
}
