package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec" //nolint:depguard // it starts the redis-server that it measures on
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9" //nolint:depguard // the pipeline by hand has nothing between it and Redis
)

// A server is a redis-server of our own, on a free port of this machine. It
// keeps nothing on disk.
type server struct {
	address string
	version string
	client  *redis.Client
	dir     string
	process *exec.Cmd
	exited  chan struct{}
	output  bytes.Buffer // read after exited
}

const (
	startTries = 5
	startLimit = 10 * time.Second
)

func startRedis(ctx context.Context) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in PATH: run `make tools` or install it with your package manager")
	}
	for range startTries { // somebody else may take the free port first
		var s *server
		if s, err = start(ctx, program); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func start(ctx context.Context, program string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dqbench")
	if err != nil {
		return nil, err
	}
	s := &server{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir, exited: make(chan struct{})}
	s.process = exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() {
		_ = s.process.Wait() // it ends by a signal
		close(s.exited)
	}()
	s.client = s.open()
	if err := s.answers(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// open makes a client of its own; the caller closes it.
func (s *server) open() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.address, Protocol: 2, DisableIdentity: true, ReadTimeout: -1})
}

// url is the address for dqbridge.
func (s *server) url() string { return "redis://" + s.address }

// answers waits until our process, and no other, answers on the port.
func (s *server) answers(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		info, err := s.client.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == strconv.Itoa(s.process.Process.Pid) {
			s.version = info["Server"]["redis_version"]
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server ended at once:\n%s", &s.output)
		case <-limit:
			return fmt.Errorf("redis-server does not answer on %s: %w", s.address, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (s *server) stop() {
	_ = s.client.Close()
	_ = s.process.Process.Kill()
	<-s.exited
	_ = os.RemoveAll(s.dir)
}

// usage is what the server has done so far.
type usage struct {
	commands float64 // also those that scripts ran
	scripts  float64
	cpu      float64 // seconds
}

func (s *server) usage(ctx context.Context) (u usage, err error) {
	info, err := s.client.InfoMap(ctx, "commandstats", "cpu").Result()
	if err != nil {
		return u, err
	}
	for name, stat := range info["Commandstats"] {
		calls, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
		n, err := strconv.ParseFloat(calls, 64)
		if err != nil {
			return u, fmt.Errorf("INFO commandstats: %s: %w", name, err)
		}
		u.commands += n
		if strings.HasPrefix(name, "cmdstat_eval") {
			u.scripts += n
		}
	}
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(info["CPU"][name], 64)
		if err != nil {
			return u, fmt.Errorf("INFO cpu: %s: %w", name, err)
		}
		u.cpu += seconds
	}
	return u, nil
}
