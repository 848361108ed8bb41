package broker

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Server is the state of the Redis server that has the namespace.
type Server struct {
	Version    string
	RoundTrip  time.Duration // of a PING
	Memory     int64         // bytes in use
	MaxMemory  int64         // bound of these, 0 for none
	Policy     string        // of evictions at the bound
	AppendOnly bool          // it logs each write
	Snapshots  bool          // the last snapshot to a file has succeeded
	Replicas   int64
	Clients    int64
	MaxClients int64
	Uptime     time.Duration
	MainCPU    time.Duration // of its main thread since the start, 0 if it does not tell
	Cluster    bool
	Address    string // host and port
	Run        string // id of its run: after a restart it has another one
}

// Server reads INFO. It takes two round trips. ErrDenied: the Redis user may not.
func (c *Client) Server(ctx context.Context) (s Server, err error) {
	node, err := c.node(ctx)
	if err != nil {
		return Server{}, err
	}
	began := time.Now()
	if err := c.try(ctx, "ping", func(ctx context.Context) error { return node.Ping(ctx).Err() }); err != nil {
		return Server{}, err
	}
	s.RoundTrip = time.Since(began)
	var text string
	err = c.try(ctx, "read the state of the server", func(ctx context.Context) error {
		text, err = node.Info(ctx).Result()
		return err
	})
	if err != nil {
		return Server{}, err
	}
	fields := infoFields(text)
	number := func(name string) int64 { return parseInt(fields[name]) }
	s.Version, s.Memory, s.MaxMemory, s.Policy = fields["redis_version"], number("used_memory"), number("maxmemory"), fields["maxmemory_policy"]
	s.AppendOnly, s.Snapshots = number("aof_enabled") == 1, fields["rdb_last_bgsave_status"] == "ok"
	s.Replicas, s.Clients, s.MaxClients = number("connected_slaves"), number("connected_clients"), number("maxclients")
	s.Uptime, s.Cluster = time.Duration(number("uptime_in_seconds"))*time.Second, number("cluster_enabled") == 1
	s.MainCPU, s.Address, s.Run = mainCPU(fields), addressOf(node), fields["run_id"]
	return s, nil
}

// mainCPU returns the processor time of the main thread, and that of all threads if the server does not
// tell the former.
func mainCPU(fields map[string]string) time.Duration {
	seconds := func(name string) time.Duration {
		d, _ := time.ParseDuration(fields[name] + "s") // 0 for a missing one
		return d
	}
	if d := seconds("used_cpu_sys_main_thread") + seconds("used_cpu_user_main_thread"); d > 0 {
		return d
	}
	return seconds("used_cpu_sys") + seconds("used_cpu_user")
}

// addressOf returns host and port of a server, "" for one whose client does not have it.
func addressOf(node redis.UniversalClient) string {
	if client, ok := node.(*redis.Client); ok {
		return client.Options().Addr
	}
	return ""
}

// infoFields returns the fields of INFO by name.
func infoFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = value
	}
	return fields
}
