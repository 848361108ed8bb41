// Package redisd starts redis-servers and reads their statistics.
package redisd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Server is a redis-server on a free port of this machine, without persistence.
type Server struct {
	Address string
	Version string
	Client  *redis.Client
	dir     string
	process *exec.Cmd
	exited  chan struct{}
	output  bytes.Buffer // read after exited
}

const (
	startTries = 5
	startLimit = 10 * time.Second
)

// Start starts a server. Settings are further arguments of redis-server.
func Start(ctx context.Context, settings ...string) (s *Server, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in PATH: run `make tools` or install it with your package manager")
	}
	for range startTries { // another process can take the free port first
		if s, err = start(ctx, program, settings); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func start(ctx context.Context, program string, settings []string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dqbench")
	if err != nil {
		return nil, err
	}
	s := &Server{Address: net.JoinHostPort("127.0.0.1", port), dir: dir, exited: make(chan struct{})}
	s.process = exec.Command(program, append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"}, settings...)...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		_ = s.process.Wait() // it ends by a signal
		close(s.exited)
	}()
	s.Client = s.Open()
	if err := s.answers(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// Open makes a client; the caller closes it.
func (s *Server) Open() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Address, Protocol: 2, DisableIdentity: true, ReadTimeout: -1})
}

// URL is the address for dqbridge.
func (s *Server) URL() string { return "redis://" + s.Address }

// answers waits until this process, and no other one, answers on the port.
func (s *Server) answers(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		info, err := s.Client.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == strconv.Itoa(s.process.Process.Pid) {
			s.Version = info["Server"]["redis_version"]
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server exited:\n%s", &s.output)
		case <-limit:
			return fmt.Errorf("redis-server does not answer on %s: %w", s.Address, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Flush deletes all data.
func (s *Server) Flush(ctx context.Context) error { return s.Client.FlushAll(ctx).Err() }

// Stop kills the process and deletes its folder.
func (s *Server) Stop() {
	_ = s.Client.Close()
	_ = s.process.Process.Kill()
	<-s.exited
	_ = os.RemoveAll(s.dir)
}
