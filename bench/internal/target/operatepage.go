package target

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	shownFlows   = 500 // of two queues each
	shownWorkers = 100 // of one slot
	shownGathers = 50  // of flows that have items
	// shownItems is the time between two items of all flows together. Each wakes the workers, which wait
	// for items of all stages: more would keep Redis busy without a page.
	shownItems = time.Second
	// watchRounds are times with an open page, and as many without, in turns.
	watchRounds = 3
	watchTime   = 12 * time.Second
	// slowCall is the time of a call of Redis that holds up others for too long.
	slowCall = 5 * time.Millisecond
)

// shown are the pages that are open while the cost is measured, each beside its kind.
var shown = [][2]string{{"flows", "/"}, {"queues", "/queues"}, {"flow", "/flow?name=f7"}}

func observerTargets() []Target {
	return []Target{
		{Name: "page-redis", What: "part of Redis' main thread for an open page, 1,000 queues and 100 workers", Want: 0.03, Most: true, Unit: "of a processor", measure: openPages},
		{Name: "lists-trips", What: "round trips of the longest list, 1,000 queues and 100 workers", Want: 30, Most: true, Unit: "trips", measure: longestList},
	}
}

// crowd runs flows and workers while f runs.
func (r *run) crowd(ctx context.Context, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	ex, err := executor.New(ctx, r.Server.URL(), executor.Lease(30*time.Second), executor.Logger(nil))
	if err != nil {
		cancel()
		return err
	}
	end := func() error { return nil }
	defer func() {
		cancel()
		err = errors.Join(err, end(), ex.Close(), r.Server.Flush(context.WithoutCancel(ctx)))
	}()
	step := workers.Define("step", func(ctx context.Context, n int) (int, error) { return n, work.Pause(ctx, 20*time.Millisecond) })
	inputs := make([]chan int, shownFlows)
	for i := range inputs {
		inputs[i] = make(chan int, 10)
		q, err := bridge.Scatter(ctx, ex, inputs[i], bridge.Name(fmt.Sprint("f", i)))
		if err != nil {
			return err
		}
		out, err := executor.Map(ctx, step, q, executor.Name(fmt.Sprint("f", i, "-out")))
		if err != nil {
			return err
		}
		if i >= shownGathers {
			continue
		}
		results, err := bridge.Gather(ctx, out)
		if err != nil {
			return err
		}
		go func() {
			for range results {
			}
		}()
	}
	if end, err = r.employ(ctx, shownWorkers, step); err != nil {
		return err
	}
	go feedAll(ctx, inputs[:shownGathers])
	if err := work.Pause(ctx, untilIdle); err != nil {
		return err
	}
	return f(ctx)
}

// feedAll sends an item to each input in turn, until ctx ends.
func feedAll(ctx context.Context, inputs []chan int) {
	for i := 0; work.Pause(ctx, shownItems) == nil; i++ {
		select {
		case inputs[i%len(inputs)] <- i:
		default: // the workers are behind
		}
	}
}

// openPages opens pages by turns, and compares the time of Redis with that without one. The dearest
// page counts.
func openPages(ctx context.Context, r *run) (most float64, note string, err error) {
	err = r.crowd(ctx, func(ctx context.Context) error {
		line, err := openDistance(r.Server.Address, 0)
		if err != nil {
			return err
		}
		defer line.close()
		d, err := r.dashboard(ctx, line)
		if err != nil {
			return err
		}
		defer d.close()
		for _, page := range shown {
			c, err := d.cost(ctx, r, page[1])
			if err != nil {
				return fmt.Errorf("%s: %w", page[0], err)
			}
			most = max(most, c.share)
			note += fmt.Sprintf("\n  %s: %s of %s, %s in its calls, the dearest of them %v of %v; first load %.0f bytes, event %.0f bytes", page[0],
				report.Percent(c.share), report.Percent(c.all), report.Percent(c.calls), c.dearest, slowCall, c.first, c.event)
		}
		return nil
	})
	return most, note, err
}

// A pageCost has the costs of an open page.
type pageCost struct {
	share, all   float64       // of the main thread of Redis: for the page, and together
	calls        float64       // the part of its calls alone, without reading and writing of their bytes
	dearest      time.Duration // of its kinds of calls, in the median
	first, event float64       // bytes
}

// cost watches a page and then no page, again and again.
func (d *dashboard) cost(ctx context.Context, r *run, path string) (c pageCost, err error) {
	var with, without, calls []float64
	for range watchRounds {
		quiet, err := r.mainThread(ctx, func() error { return work.Pause(ctx, watchTime) })
		if err != nil {
			return c, err
		}
		busy, err := r.mainThread(ctx, func() (err error) {
			c.first, c.event, err = d.watch(ctx, path, watchTime)
			return err
		})
		if err != nil {
			return c, err
		}
		entries, err := r.slow(ctx, 0, func() (err error) {
			_, _, err = d.watch(ctx, path, watchTime)
			return err
		})
		if err != nil {
			return c, err
		}
		spent, dearest := d.line.spent(entries)
		c.dearest = max(c.dearest, dearest)
		with, without, calls = append(with, busy), append(without, quiet), append(calls, spent.Seconds()/watchTime.Seconds())
	}
	c.all, c.calls = measure.Median(with), measure.Median(calls)
	c.share = max(0, c.all-measure.Median(without))
	return c, nil
}

// mainThread returns the part of a processor that the main thread of Redis needs while f runs.
func (r *run) mainThread(ctx context.Context, f func() error) (share float64, err error) {
	total := func() (seconds float64, err error) {
		info, err := r.Server.Client.InfoMap(ctx, "cpu").Result()
		for _, field := range []string{"used_cpu_user_main_thread", "used_cpu_sys_main_thread"} {
			n, bad := strconv.ParseFloat(info["CPU"][field], 64)
			seconds, err = seconds+n, errors.Join(err, bad)
		}
		return seconds, err
	}
	before, err := total()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	after, err := total()
	return (after - before) / time.Since(begin).Seconds(), err
}

// slow returns the commands that took Redis at least a time while f ran.
func (r *run) slow(ctx context.Context, least time.Duration, f func() error) ([]redis.SlowLog, error) {
	c := r.Server.Client
	err := errors.Join(c.ConfigSet(ctx, "slowlog-max-len", "1000000").Err(),
		c.ConfigSet(ctx, "slowlog-log-slower-than", strconv.FormatInt(least.Microseconds(), 10)).Err(), c.Do(ctx, "SLOWLOG", "RESET").Err())
	if err == nil {
		err = f()
	}
	if err := errors.Join(err, c.ConfigSet(ctx, "slowlog-log-slower-than", "-1").Err()); err != nil {
		return nil, err
	}
	return c.SlowLogGet(ctx, -1).Result()
}

// A dashboard is a process that serves pages.
type dashboard struct {
	process *exec.Cmd
	line    *distance // its connection to Redis
	address string
}

var served = regexp.MustCompile(`dashboard at (http://\S+)/`)

// dashboard starts one, which close ends.
func (r *run) dashboard(ctx context.Context, line *distance) (*dashboard, error) {
	command, err := r.command(ctx, "dashboard", "--redis", line.url(), "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &dashboard{process: exec.CommandContext(ctx, command[0], command[1:]...), line: line}
	stderr, err := d.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.process.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if found := served.FindStringSubmatch(lines.Text()); found != nil {
			d.address = found[1]
			go func() { _, _ = io.Copy(os.Stderr, stderr) }()
			return d, nil
		}
	}
	d.close()
	return nil, fmt.Errorf("the dashboard does not start: %w", lines.Err())
}

func (d *dashboard) close() {
	_ = d.process.Process.Kill()
	_ = d.process.Wait() // it ends by a signal
}

// watch loads a page and reads its events for a while. It returns the bytes of the page with its
// files, as a browser asks for them, and the mean bytes of an event.
func (d *dashboard) watch(ctx context.Context, path string, during time.Duration) (first, event float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	text, first, err := d.get(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	for _, file := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`).FindAllStringSubmatch(text, -1) {
		_, size, err := d.get(ctx, file[1])
		if err != nil {
			return 0, 0, err
		}
		first += size
	}
	stream, err := d.open(ctx, "/events?at="+url.QueryEscape(path))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = stream.Body.Close() }()
	events, bytes := 0.0, 0.0
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		bytes += float64(len(lines.Bytes()) + 1)
		if strings.HasPrefix(lines.Text(), "event: view") {
			events++
		}
	}
	if err := lines.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return 0, 0, fmt.Errorf("the events of %s end: %w", path, err)
	}
	if events < during.Seconds()/3 {
		return 0, 0, fmt.Errorf("%s has sent %.0f events in %v", path, events, during)
	}
	return first, bytes / events, nil
}

// open sends a request of a browser.
func (d *dashboard) open(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return response, nil
}

// get returns a text and its size on the line.
func (d *dashboard) get(ctx context.Context, path string) (text string, size float64, err error) {
	response, err := d.open(ctx, path)
	if err != nil {
		return "", 0, err
	}
	body, err := io.ReadAll(response.Body)
	return string(body), float64(len(body)), errors.Join(err, response.Body.Close())
}
