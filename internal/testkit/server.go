package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Server is a real redis-server: a child process of the test binary, with its own loopback port
// and folder.
type Server struct {
	t        testing.TB // nil if it is shared
	bin, dir string
	port     int
	config   string // path of a configuration file; "": none
	args     []string

	mu   sync.Mutex
	proc *process
}

// A process is one run of a Server.
type process struct {
	cmd    *exec.Cmd
	out    bytes.Buffer // for readers once exited is closed
	exited chan struct{}
	killed bool
	guard  *exec.Cmd
	leash  io.Closer
}

// StartRedis starts a redis-server for this test and ends it with the test. It stores nothing on
// disk and evicts no keys; args follow these settings and override them. Without redis-server on
// the machine, the test fails.
//
// With -short it skips the test: the quick half of the tests needs no server.
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, "", args)
}

// skipQuick skips a test that needs a server if the tests run with -short.
func skipQuick(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs redis-server, which -short leaves out")
	}
}

func start(t testing.TB, config string, args []string) *Server {
	t.Helper()
	skipQuick(t)
	s, err := launch(config, args)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.close)
	return s
}

func launch(config string, args []string) (*Server, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in PATH: run `make tools` or `apt-get install redis-server`")
	}
	dir, err := os.MkdirTemp("", "dq")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, config: config, args: args}
	for range 5 { // another process may take the free port first
		if s.port, err = freePort(); err != nil {
			continue
		}
		if s.proc, err = s.start(); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// freePort returns a port below the ephemeral ports, since a connection could take one of those
// while a server is down. The port 10000 above it, the bus of a cluster node, is below them too.
func freePort() (int, error) {
	port := 10000 + rand.IntN(12000)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	return port, l.Close()
}

// FreePort returns a free port of 127.0.0.1 for a server that the test starts, below the ephemeral ports.
func FreePort(t testing.TB) string {
	t.Helper()
	var port int
	Eventually(t, func() bool {
		var err error
		port, err = freePort()
		return err == nil
	}, "a port is free")
	return strconv.Itoa(port)
}

// start returns when the server answers. It pings the unix socket in the server's folder, which no
// other server uses and which the server opens after the TCP port.
func (s *Server) start() (*process, error) {
	var args []string
	if s.config != "" {
		args = []string{s.config}
	}
	cmd := exec.Command(s.bin, append(append(args,
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--unixsocket", s.socket(),
		"--dir", s.dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	), s.args...)...)
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // an exit by a signal is an error too
		close(p.exited)
	}()
	if err := p.watch(s.dir); err != nil {
		p.kill()
		return nil, err
	}
	if !poll(func() bool { return p.gone() || s.answers() }, timeout) || p.gone() {
		p.kill()
		return nil, fmt.Errorf("redis-server does not answer on port %d:\n%s", s.port, &p.out)
	}
	return p, nil
}

func (s *Server) socket() string { return filepath.Join(s.dir, "redis.sock") }

// answers reports whether the server replies to PING with PONG or with a request for a password.
func (s *Server) answers() bool {
	conn, err := net.DialTimeout("unix", s.socket(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	reply := make([]byte, 5)
	err = errors.Join(conn.SetDeadline(time.Now().Add(time.Second)), ping(conn, reply))
	return err == nil && (string(reply) == "+PONG" || string(reply) == "-NOAU")
}

func ping(conn net.Conn, reply []byte) error {
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, reply)
	return err
}

// watch starts a shell that kills the server when the test binary dies without cleanup, as after a
// panic or its time limit.
func (p *process) watch(dir string) error {
	p.guard = exec.Command("sh", "-c", `trap '' INT; read _; kill -9 "$0"; rm -rf "$1"`, strconv.Itoa(p.cmd.Process.Pid), dir)
	leash, err := p.guard.StdinPipe()
	if err != nil {
		return err
	}
	p.leash = leash
	return p.guard.Start()
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill ends the guard first, which must not kill a process whose number is used again.
func (p *process) kill() {
	p.killed = true
	if p.guard != nil && p.guard.Process != nil {
		_ = p.guard.Process.Kill()
		_ = p.guard.Wait()
		_ = p.leash.Close()
	}
	_ = p.cmd.Process.Kill() // it may be dead already
	<-p.exited
}

// Addr returns the host:port of the server.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns redis://host:port.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Pid returns the process number of the server.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.cmd.Process.Pid
}

// gone reports whether the server was killed and not started again.
func (s *Server) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.gone()
}

// Kill ends the server like kill -9 and waits for its exit.
func (s *Server) Kill() {
	s.owner()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.kill()
}

// Shutdown ends the server by SIGTERM, after which it saves its data, and waits for its exit.
func (s *Server) Shutdown() {
	s.signal(syscall.SIGTERM)
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.proc.exited
	s.proc.kill()
}

// Restart kills the server, if it runs, and starts it again on the same port and folder.
func (s *Server) Restart() {
	t := s.owner()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.kill()
	p, err := s.start()
	if err != nil {
		t.Error(err)
		return
	}
	s.proc = p
}

// Stop freezes the server: connections stay open and get no replies.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Cont continues a frozen server.
func (s *Server) Cont() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	t := s.owner()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		t.Errorf("redis-server does not take the signal %v: %v", sig, err)
	}
}

// owner returns the test that may break the server.
func (s *Server) owner() testing.TB {
	if s.t == nil {
		panic("a shared redis-server is not one test's to break: use StartRedis")
	}
	return s.t
}

// close fails the test if the server has ended without being told to: what its clients report then
// names another cause.
func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.t != nil && !s.proc.killed && s.proc.gone() {
		s.t.Errorf("redis-server on port %d ended by itself: %v\n%s", s.port, s.proc.cmd.ProcessState, &s.proc.out)
	}
	s.proc.kill()
	_ = os.RemoveAll(s.dir)
}
