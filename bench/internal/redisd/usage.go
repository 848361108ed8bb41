package redisd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A Usage is the work of a server so far.
type Usage struct {
	Commands float64 // including those in scripts, without those that read the usage
	Scripts  float64
	CPU      float64 // in seconds
	Sent     float64 // in bytes
	Received float64
}

// Sub returns the work between two usages.
func (u Usage) Sub(before Usage) Usage {
	return Usage{
		u.Commands - before.Commands, u.Scripts - before.Scripts, u.CPU - before.CPU, u.Sent - before.Sent, u.Received - before.Received,
	}
}

// Over returns the usage divided by n.
func (u Usage) Over(n float64) Usage {
	return Usage{u.Commands / n, u.Scripts / n, u.CPU / n, u.Sent / n, u.Received / n}
}

// Usage reads the work of the server so far.
func (s *Server) Usage(ctx context.Context) (u Usage, err error) {
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
	user, sys := 0.0, 0.0
	for _, field := range []struct {
		section, name string
		to            *float64
	}{
		{"CPU", "used_cpu_user", &user}, {"CPU", "used_cpu_sys", &sys},
		{"Stats", "total_net_output_bytes", &u.Sent}, {"Stats", "total_net_input_bytes", &u.Received},
	} {
		if *field.to, err = strconv.ParseFloat(info[field.section][field.name], 64); err != nil {
			return u, fmt.Errorf("INFO: %s: %w", field.name, err)
		}
	}
	u.CPU = user + sys
	return u, nil
}

// Memory returns the memory of the data: all allocated memory without the buffers of connections.
func (s *Server) Memory(ctx context.Context) (float64, error) {
	info, err := s.Client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseFloat(info["Memory"]["used_memory"], 64)
	if err != nil {
		return 0, fmt.Errorf("INFO memory: %w", err)
	}
	clients, err := strconv.ParseFloat(info["Memory"]["mem_clients_normal"], 64)
	if err != nil {
		return 0, fmt.Errorf("INFO memory: %w", err)
	}
	return used - clients, nil
}

// Flush removes all data.
func (s *Server) Flush(ctx context.Context) error { return s.Client.FlushAll(ctx).Err() }

// Peak returns the peak memory of the process, in bytes.
func (s *Server) Peak() (float64, error) { return PeakOf(strconv.Itoa(s.process.Process.Pid)) }

// PeakOf returns the peak memory of a process, in bytes; "self" is this process. It reads the value
// of Linux for the program alone, since the value of getrusage starts with that of the parent
// process.
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
