package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

const (
	// farAway is the time of a round trip to the Redis of the lists.
	farAway = 20 * time.Millisecond
	// listTime is the time that a list may take there.
	listTime = 1500 * time.Millisecond
)

// lists are commands that read the whole namespace.
var lists = []string{"flows", "queues", "stages", "sources", "gathers", "workers", "functions", "errors", "dead list", "doctor"}

// longestList runs each list against a Redis that is far away. The note has the times.
func longestList(ctx context.Context, r *run) (most float64, note string, err error) {
	err = r.crowd(ctx, func(ctx context.Context) error {
		line, err := openDistance(r.Server.Address, farAway)
		if err != nil {
			return err
		}
		defer line.close()
		for _, list := range lists {
			command, err := r.command(ctx, append(strings.Fields(list), "--redis", line.url())...)
			if err != nil {
				return err
			}
			var took time.Duration
			calls, err := r.slow(ctx, 0, func() error {
				line.trips.Store(0)
				begin := time.Now()
				err := listed(ctx, command)
				took = time.Since(begin)
				return err
			})
			if err != nil {
				return err
			}
			_, dearest := line.spent(calls)
			trips := float64(line.trips.Load())
			most = max(most, trips)
			note += fmt.Sprintf("\n  %s: %.0f round trips, %.2f s of %.1f, dearest call of Redis %v of %v", list, trips, took.Seconds(), listTime.Seconds(), dearest, slowCall)
		}
		return nil
	})
	return most, note, err
}

// listed runs a command whose status may say that the doctor has found something.
func listed(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 && strings.Contains(string(out), "D1 ") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command[1:], " "), err, stderr.Bytes())
	}
	return nil
}

// A distance forwards connections to a server with a delay in both directions, and counts round trips:
// requests that come after a reply or first.
type distance struct {
	target   string
	trip     time.Duration
	listener net.Listener
	trips    atomic.Int64
	own      atomic.Pointer[map[string]bool] // addresses of its connections to the server
}

func openDistance(target string, trip time.Duration) (*distance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &distance{target: target, trip: trip, listener: listener}
	d.own.Store(&map[string]bool{})
	go d.accept()
	return d, nil
}

func (d *distance) close() { _ = d.listener.Close() }

func (d *distance) url() string { return "redis://" + d.listener.Addr().String() }

// spent returns the time of the commands of its connections, and that of the dearest kind of them in
// the median: on a busy machine each command may wait for a processor. Commands of one kind have the
// same name and as many arguments.
func (d *distance) spent(all []redis.SlowLog) (sum, dearest time.Duration) {
	own, kinds := *d.own.Load(), map[string][]float64{}
	for _, c := range all {
		if own[c.ClientAddr] {
			sum += c.Duration
			kind := fmt.Sprint(c.Args[0], len(c.Args))
			kinds[kind] = append(kinds[kind], float64(c.Duration))
		}
	}
	for _, times := range kinds {
		dearest = max(dearest, time.Duration(measure.Median(times)))
	}
	return sum, dearest
}

func (d *distance) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		own := map[string]bool{server.LocalAddr().String(): true}
		for address := range *d.own.Load() {
			own[address] = true
		}
		d.own.Store(&own)
		answered := new(atomic.Bool)
		answered.Store(true)
		go d.forward(client, server, func() {
			if answered.Swap(false) {
				d.trips.Add(1)
			}
		})
		go d.forward(server, client, func() { answered.Store(true) })
	}
}

// forward passes bytes on with half of the delay, each with its own.
func (d *distance) forward(from, to net.Conn, seen func()) {
	type chunk struct {
		bytes []byte
		due   time.Time
	}
	chunks := make(chan chunk, 10_000)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 64<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				chunks <- chunk{buffer[:n], time.Now().Add(d.trip / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		_ = work.Pause(context.Background(), time.Until(c.due))
		seen()
		if _, err := io.Copy(to, bytes.NewReader(c.bytes)); err != nil {
			break
		}
	}
	_, _ = from.Close(), to.Close()
	for range chunks { // the reader ends
	}
}
