package executor

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Server reads the state of the server of the first partition, in two round trips. In a cluster it reads
// those of the other partitions too, at the same time, for Server.Nodes. Errors: ErrDenied if the
// Redis user may not call INFO, and ErrClosed.
func (ex *Executor) Server(ctx context.Context) (inspect.Server, error) {
	if err := ex.check("server"); err != nil {
		return inspect.Server{}, err
	}
	return ex.inspector.Server(ctx)
}

// Server reads what Executor.Server does.
func (i inspector) Server(ctx context.Context) (info inspect.Server, err error) {
	ctx, end, err := i.tasks.begin(ctx, "server")
	if err != nil {
		return inspect.Server{}, err
	}
	defer end(&err)
	s, err := i.parts[0].Server(ctx)
	if err != nil {
		return inspect.Server{}, err
	}
	all := []broker.Server{s}
	if s.Cluster {
		others, err := servers(ctx, i.parts[1:])
		if err != nil {
			return inspect.Server{}, err
		}
		all = append(all, others...)
	}
	return serverInfo(all), nil
}

// servers reads the server of each partition.
func servers(ctx context.Context, parts []*broker.Client) ([]broker.Server, error) {
	found := make([]broker.Server, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	for n, part := range parts {
		group.Go(func() (err error) {
			found[n], err = part.Server(ctx)
			return err
		})
	}
	return found, group.Wait()
}

// serverInfo describes the first one of servers, among which one may be several times.
func serverInfo(all []broker.Server) inspect.Server {
	s, seen := all[0], map[string]bool{}
	info := inspect.Server{
		Version: s.Version, RoundTrip: s.RoundTrip, Memory: s.Memory, MaxMemory: s.MaxMemory, Policy: s.Policy, AppendOnly: s.AppendOnly, Snapshots: s.Snapshots,
		Replicas: s.Replicas, Clients: s.Clients, MaxClients: s.MaxClients, Uptime: s.Uptime, MainCPU: s.MainCPU, Cluster: s.Cluster, Address: s.Address, Run: s.Run,
	}
	for _, s := range all {
		if !seen[s.Run] {
			seen[s.Run] = true
			info.Nodes = append(info.Nodes, inspect.Node{Address: s.Address, Run: s.Run, MainCPU: s.MainCPU})
		}
	}
	return info
}
