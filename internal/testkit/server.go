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

// A Server is a real redis-server, a child process of the test binary with a
// loopback port and a folder of its own.
type Server struct {
	t        testing.TB // nil where it is shared
	bin, dir string
	port     int
	config   string // path of a configuration file, "" for none
	args     []string

	mu   sync.Mutex
	proc *process
}

// A process is one life of a Server.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	guard  *exec.Cmd
	leash  io.Closer
}

// StartRedis starts a redis-server for this test and ends it with the test.
// It keeps nothing on disk and evicts nothing; args come behind these settings
// and override them. A machine without redis-server fails the test.
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
	for range 5 { // somebody else may take the free port first
		if s.port, err = freePort(); err != nil {
			continue
		}
		if s.proc, err = s.start(); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// freePort returns a port below those that the system gives to connections,
// one of which could take it while a server is down. The port 10000 above it,
// the bus of a cluster's node, is below them too.
func freePort() (int, error) {
	port := 10000 + rand.IntN(12000)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	return port, l.Close()
}

// start returns when the server answers. It is asked on the unix socket in its
// folder, where nobody else can answer and which it opens after the TCP port.
func (s *Server) start() (*process, error) {
	var args []string
	if s.config != "" {
		args = []string{s.config}
	}
	cmd := exec.Command(s.bin, append(append(args,
		"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--unixsocket", s.socket(),
		"--dir", s.dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	), s.args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // an exit by signal is an error too
		close(p.exited)
	}()
	if err := p.watch(s.dir); err != nil {
		p.kill()
		return nil, err
	}
	if !poll(func() bool { return p.gone() || s.answers() }, patience) || p.gone() {
		p.kill()
		return nil, fmt.Errorf("redis-server does not answer on port %d:\n%s", s.port, &out)
	}
	return p, nil
}

func (s *Server) socket() string { return filepath.Join(s.dir, "redis.sock") }

// answers tells whether a PING is answered by PONG or by a wish for a password.
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

// watch starts a shell that kills the server when the test binary dies without
// a goodbye, as one does that panics or runs into its time limit.
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

// kill ends the guard first: a process number that is free again is not its to
// kill.
func (p *process) kill() {
	if p.guard != nil && p.guard.Process != nil {
		_ = p.guard.Process.Kill()
		_ = p.guard.Wait()
		_ = p.leash.Close()
	}
	_ = p.cmd.Process.Kill() // it may be dead already
	<-p.exited
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is redis://host:port.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Pid is the number of the server's process.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.cmd.Process.Pid
}

// gone tells whether the server was killed and not started again.
func (s *Server) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.gone()
}

// Kill ends the server as kill -9 does and waits until it is gone.
func (s *Server) Kill() {
	s.owner()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.kill()
}

// Shutdown ends the server as SIGTERM does, which writes what is to be kept, and
// waits until it is gone.
func (s *Server) Shutdown() {
	s.signal(syscall.SIGTERM)
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.proc.exited
	s.proc.kill()
}

// Restart kills the server, if it still lives, and starts it again on the same
// port and folder.
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

// Stop freezes the server: connections stay, nothing is answered.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Cont lets a frozen server go on.
func (s *Server) Cont() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	t := s.owner()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		t.Errorf("redis-server does not take the signal %v: %v", sig, err)
	}
}

// owner is the test that may break the server.
func (s *Server) owner() testing.TB {
	if s.t == nil {
		panic("a shared redis-server is not one test's to break: use StartRedis")
	}
	return s.t
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc.kill()
	_ = os.RemoveAll(s.dir)
}
