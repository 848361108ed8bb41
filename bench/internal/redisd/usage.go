package redisd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Usage is the work of a server.
type Usage struct {
	Commands float64 // includes commands of scripts, without INFO
	Scripts  float64
	CPU      float64 // seconds
	Sent     float64 // bytes
	Received float64
}

// Over is the part of one of n.
func (u Usage) Over(n float64) Usage {
	return Usage{u.Commands / n, u.Scripts / n, u.CPU / n, u.Sent / n, u.Received / n}
}

// Used returns the work of the server during f.
func (s *Server) Used(ctx context.Context, f func() error) (u Usage, err error) {
	before, err := s.total(ctx)
	if err != nil {
		return u, err
	}
	if err := f(); err != nil {
		return u, err
	}
	u, err = s.total(ctx)
	return Usage{
		u.Commands - before.Commands, u.Scripts - before.Scripts, u.CPU - before.CPU, u.Sent - before.Sent, u.Received - before.Received,
	}, err
}

// total is the work of the server since its start.
func (s *Server) total(ctx context.Context) (u Usage, err error) {
	info, err := s.Client.InfoMap(ctx, "commandstats", "cpu", "stats").Result()
	if err != nil {
		return u, err
	}
	for name, stat := range info["Commandstats"] {
		calls, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
		n, err := strconv.ParseFloat(calls, 64)
		if err != nil {
			return u, fmt.Errorf("INFO commandstats: %s: %w", name, err)
		}
		if name == "cmdstat_info" {
			continue
		}
		u.Commands += n
		if strings.HasPrefix(name, "cmdstat_eval") {
			u.Scripts += n
		}
	}
	cpu, err := numbers(info["CPU"], "used_cpu_user", "used_cpu_sys")
	if err != nil {
		return u, err
	}
	net, err := numbers(info["Stats"], "total_net_output_bytes", "total_net_input_bytes")
	u.CPU, u.Sent, u.Received = cpu[0]+cpu[1], net[0], net[1]
	return u, err
}

// numbers reads fields of a section of INFO.
func numbers(section map[string]string, fields ...string) ([]float64, error) {
	list := make([]float64, len(fields))
	for i, field := range fields {
		var err error
		if list[i], err = strconv.ParseFloat(section[field], 64); err != nil {
			return list, fmt.Errorf("INFO: %s: %w", field, err)
		}
	}
	return list, nil
}

// Sent counts the commands of clients for a duration. It counts a script as one command; INFO counts
// all commands of the script.
func (s *Server) Sent(ctx context.Context, during time.Duration) (n float64, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(during)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprint(conn, "MONITOR\r\n"); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); first = false {
		if !first && !strings.Contains(lines.Text(), " lua] ") {
			n++
		}
	}
	if err := lines.Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("MONITOR ended early: %w", errors.Join(err, ctx.Err()))
	}
	return n, ctx.Err()
}

// Memory is the allocated memory without the buffers of connections, in bytes.
func (s *Server) Memory(ctx context.Context) (float64, error) {
	info, err := s.Client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	memory, err := numbers(info["Memory"], "used_memory", "mem_clients_normal")
	return memory[0] - memory[1], err
}

// Peak is the peak memory of the process, in bytes.
func (s *Server) Peak() (float64, error) { return PeakOf(strconv.Itoa(s.process.Process.Pid)) }

// PeakOf is the peak memory of a process in bytes, as Linux reports it; "self" is this process. The
// figure of getrusage would include the peak of the parent.
func PeakOf(pid string) (float64, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0, fmt.Errorf("the memory of a process is read on Linux only: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, err := strconv.ParseFloat(strings.Fields(kib)[0], 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("process %s: no VmHWM in its status", pid)
}
