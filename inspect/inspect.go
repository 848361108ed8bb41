// Package inspect describes the state of a namespace at one time: queues with their items by place,
// stages, sources, flows, processes, failures and the Redis server. The types are plain data with a
// form in JSON. executor.NewInspector connects a process that reads them.
package inspect

import "time"

// A Snapshot is the state of a namespace at one time: each partition as it was during a few round
// trips.
type Snapshot struct {
	At        time.Time  `json:"at"`     // by the clock of Redis
	Queues    []Queue    `json:"queues"` // sorted by name
	Stages    []Stage    `json:"stages"` // those of a partition in the order in which they were made
	Sources   []Source   `json:"sources"`
	Gathers   []Gather   `json:"gathers"`   // sorted by queue
	Workers   []Worker   `json:"workers"`   // sorted by host and process, also those that are late or silent
	Functions []Function `json:"functions"` // of the workers that send heartbeats, sorted by name
	Executors []Process  `json:"executors"`
	Letters   int64      `json:"letters"` // number of dead letters
	// AtQueues is how many workers wait at the queues of all their stages, in the partition that has most:
	// workers of a partition with few stages, and workers of earlier versions or without some rights.
	AtQueues int `json:"workers_at_queues"`
	// WorkerDeaths is how many workers were declared dead, in the partition that has seen the most: a
	// worker is in all of them. It begins at 0 again after all processes have left.
	WorkerDeaths int64 `json:"worker_deaths"`
	// Overdue is for how long the first of the delayed batches should have been back in its queue, 0
	// if none is overdue.
	Overdue time.Duration `json:"overdue_ns"`
	// Ahead is by how much the clock of this process is at least ahead of that of Redis, negative if
	// it is behind.
	Ahead time.Duration `json:"ahead_ns"`
	// Redis is how busy Redis has been. It takes two looks at the server, so executor.Inspector leaves
	// it zero; the commands and pages of dqbridge fill it in.
	Redis Load `json:"redis"`
}

// Process describes a process that scatters, gathers or makes stages.
type Process struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// State is "live", "late" if a heartbeat is overdue, "silent" if none came for a lease and no
	// process has declared it dead, or "dead".
	State string    `json:"state"`
	Seen  time.Time `json:"seen,omitzero"` // its last heartbeat, by the clock of Redis; zero if it is dead
	// Lease is the time without a heartbeat after which others declare it dead, 0 if it is not known.
	Lease time.Duration `json:"lease_ns,omitempty"`
}

// The states of a process.
const (
	Live   = "live"
	Late   = "late"   // a heartbeat is overdue
	Silent = "silent" // none came for a lease, and no process has declared it dead
	Dead   = "dead"   // it was declared dead, or has left
)

// Server describes the Redis server that has the namespace.
type Server struct {
	Version    string        `json:"version"`
	RoundTrip  time.Duration `json:"round_trip_ns"` // of one PING
	Memory     int64         `json:"memory"`        // bytes in use
	MaxMemory  int64         `json:"max_memory"`    // bound of these, 0 for none
	Policy     string        `json:"policy"`        // of evictions at the bound, such as "noeviction"
	AppendOnly bool          `json:"append_only"`   // it logs each write to a file
	Snapshots  bool          `json:"snapshots"`     // the last snapshot to a file has succeeded
	Replicas   int64         `json:"replicas"`      // connected ones
	Clients    int64         `json:"clients"`       // open connections
	MaxClients int64         `json:"max_clients"`
	Uptime     time.Duration `json:"uptime_ns"`
	// MainCPU is the processor time of the main thread since the start of the server, which runs all
	// commands; that of all threads if the server does not report the former, and 0 if it reports none.
	MainCPU time.Duration `json:"main_cpu_ns"`
	Cluster bool          `json:"cluster"`
	Address string        `json:"address"` // host and port
	Run     string        `json:"run"`     // id of its run: after a restart it has another one
	// Nodes are the servers of all partitions: this one, and others in a cluster.
	Nodes []Node `json:"nodes"`
}

// Node is one of the Redis servers that have the partitions of a namespace.
type Node struct {
	Address string        `json:"address"`     // host and port
	Run     string        `json:"run"`         // id of its run: after a restart it has another one
	MainCPU time.Duration `json:"main_cpu_ns"` // see Server
}

// Load is how busy the busiest server of a namespace has been.
type Load struct {
	// Busy is the part of the time that its main thread worked, from 0 to 1.
	Busy float64 `json:"busy"`
	// Length is the time over which this was measured. It is 0 if Busy is not known.
	Length  time.Duration `json:"length_ns"`
	Address string        `json:"address,omitempty"` // of the server, if there are several
}
