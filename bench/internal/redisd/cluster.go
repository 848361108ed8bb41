package redisd

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Cluster has masters only.
type Cluster []*Server

const slots = 16384

// StartCluster starts a Cluster of n nodes with even, contiguous ranges of slots.
func StartCluster(ctx context.Context, n int) (c Cluster, err error) {
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	for i := range n {
		port, err := freePort()
		if err != nil {
			return c, err
		}
		s, err := Start(ctx, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "60000")
		if err != nil {
			return c, err
		}
		c = append(c, s)
		if err := s.Client.ClusterAddSlotsRange(ctx, i*slots/n, (i+1)*slots/n-1).Err(); err != nil {
			return c, err
		}
		host, client, err := net.SplitHostPort(s.Address)
		if err != nil {
			return c, err
		}
		if err := c[0].Client.Do(ctx, "CLUSTER", "MEET", host, client, port).Err(); err != nil {
			return c, err
		}
	}
	return c, c.ready(ctx)
}

// ready waits until every node knows all nodes.
func (c Cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, s := range c {
		for {
			info, err := s.Client.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c))) {
				break
			}
			if err == nil {
				err = work.Pause(ctx, 20*time.Millisecond)
			}
			if err != nil {
				return fmt.Errorf("the Cluster is not ready: %w\n%s", err, info)
			}
		}
	}
	return nil
}

// URL is the address for dqbridge.
func (c Cluster) URL() string {
	var addresses []string
	for _, s := range c {
		addresses = append(addresses, s.Address)
	}
	return "redis+cluster://" + strings.Join(addresses, ",")
}

// CPU is the processor time of each node since its start, in seconds.
func (c Cluster) CPU(ctx context.Context) ([]float64, error) {
	list := make([]float64, len(c))
	for i, s := range c {
		used, err := s.total(ctx)
		if err != nil {
			return nil, err
		}
		list[i] = used.CPU
	}
	return list, nil
}

// Stop kills all nodes.
func (c Cluster) Stop() {
	for _, s := range c {
		s.Stop()
	}
}

// Throttle lets a server run for a share of each period, until ctx ends.
func (s *Server) Throttle(ctx context.Context, share float64, period time.Duration) error {
	on := time.Duration(share * float64(period))
	for {
		for _, phase := range []struct {
			signal syscall.Signal
			length time.Duration
		}{{syscall.SIGSTOP, period - on}, {syscall.SIGCONT, on}} {
			if err := s.process.Process.Signal(phase.signal); err != nil {
				return err
			}
			if work.Pause(ctx, phase.length) != nil {
				return s.process.Process.Signal(syscall.SIGCONT)
			}
		}
	}
}
