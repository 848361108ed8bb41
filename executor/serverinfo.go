package executor

import (
	"context"
	"time"
)

// ServerInfo describes the Redis server that has the namespace.
type ServerInfo struct {
	Version    string        `json:"version"`
	RoundTrip  time.Duration `json:"round_trip_ns"` // of one PING
	Memory     int64         `json:"memory"`        // bytes in use
	MaxMemory  int64         `json:"max_memory"`    // bound of these, 0 for none
	Policy     string        `json:"policy"`        // what the server does at the bound, such as "noeviction"
	AppendOnly bool          `json:"append_only"`   // it logs each write to a file
	Snapshots  bool          `json:"snapshots"`     // the last snapshot to a file has succeeded
	Replicas   int64         `json:"replicas"`      // connected ones
	Clients    int64         `json:"clients"`       // open connections
	MaxClients int64         `json:"max_clients"`
	Uptime     time.Duration `json:"uptime_ns"`
	// MainCPU is the processor time of the main thread since the start of the server, which runs all
	// commands. It is 0 if the server does not report it.
	MainCPU time.Duration `json:"main_cpu_ns"`
	Cluster bool          `json:"cluster"`
}

// Server reads what the server of the first partition says of itself, in two round trips. Errors:
// ErrDenied if the Redis user may not call INFO, and ErrClosed.
func (ex *Executor) Server(ctx context.Context) (ServerInfo, error) {
	if err := ex.check("server"); err != nil {
		return ServerInfo{}, err
	}
	return ex.inspector.Server(ctx)
}

// Server reads what Executor.Server does.
func (i inspector) Server(ctx context.Context) (info ServerInfo, err error) {
	ctx, end, err := i.tasks.begin(ctx, "server")
	if err != nil {
		return ServerInfo{}, err
	}
	defer end(&err)
	s, err := i.parts[0].Server(ctx)
	return ServerInfo(s), err
}
