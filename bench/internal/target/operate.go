package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	// reportPairs are runs with reports, and as many without. They take turns, so that the load of the
	// machine is the same.
	reportPairs = 5
	// reportItems are those of such a run: it takes several heartbeats on a fast machine, and each of
	// them sends a report.
	reportItems = 60_000_000
	// reportWatch is the time in which the reports of busy workers are counted, and those of idle ones.
	reportWatch = 30 * time.Second
	// reporting are the workers whose reports are counted.
	reporting = 4
)

func operateTargets() []Target {
	return append([]Target{
		{Name: "reports", What: "rate of two stages of ints with reports, over without", Want: 0.98, Unit: "x", measure: withReports},
		{Name: "reports-sent", What: "reports a second of a busy worker", Want: 0.5, Most: true, Unit: "EVALSHA/s", measure: reportsOf(busyReports)},
		{Name: "reports-redis", What: "part of Redis' time for the reports of 4 busy workers", Want: 0.01, Most: true, Unit: "of a processor", measure: reportsOf(reportShare)},
		{Name: "reports-idle", What: "reports of 4 idle workers", Want: 0, Most: true, Unit: "reports", measure: reportsOf(idleReports)},
	}, observerTargets()...)
}

// The rules of users of Redis that send reports, and that may not: the keys of their counts begin with t.
var reportUsers = map[string]string{"loud": "~{dq:0}:[^~]*", "quiet": "~{dq:0}:[^t]*"}

// as returns the address of the server for one of the users.
func (r *run) as(ctx context.Context, user string) (string, error) {
	err := r.Server.Client.Do(ctx, "ACL", "SETUSER", user, "on", "nopass", "resetkeys", reportUsers[user], "&*", "+@all").Err()
	return "redis://" + user + ":any@" + r.Server.Address, err
}

// withReports compares both users in pairs. On a busy machine the rates of a pair differ by much more
// than reports cost: the note has the ratio of the processor time too.
func withReports(ctx context.Context, r *run) (float64, string, error) {
	var rates, costs []float64
	for i := range reportPairs {
		pair := map[string]reportRun{}
		for _, user := range [][]string{{"loud", "quiet"}, {"quiet", "loud"}}[i%2] {
			var err error
			if pair[user], err = r.runAs(ctx, user); err != nil {
				return 0, "", err
			}
		}
		rates, costs = append(rates, pair["loud"].rate/pair["quiet"].rate), append(costs, pair["loud"].cpu/pair["quiet"].cpu)
	}
	return measure.Median(rates), fmt.Sprintf("the median of %d pairs, %.2f to %.2f; of the processor time, with that of Redis, %.3f, %.2f to %.2f",
		len(rates), slices.Min(rates), slices.Max(rates), measure.Median(costs), slices.Min(costs), slices.Max(costs)), nil
}

// A reportRun is a run of the pipeline.
type reportRun struct {
	rate float64 // items a second
	cpu  float64 // seconds of processors, of this process and of Redis
}

// runAs runs the pipeline as a user, and checks that the worker has reported its work or not.
func (r *run) runAs(ctx context.Context, user string) (got reportRun, err error) {
	url, err := r.as(ctx, user)
	if err != nil {
		return got, err
	}
	ex, err := executor.New(ctx, url, executor.Concurrency(slots))
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, ex.Close(), r.Server.Flush(ctx)) }()
	if err := ex.Register(rows.Inc, rows.Double); err != nil {
		return got, err
	}
	before, err := processorTime()
	if err != nil {
		return got, err
	}
	used, err := r.Server.Used(ctx, func() (err error) {
		got.rate, err = flow.On[int](ex).Rate(ctx, both(reportItems))
		return err
	})
	if err != nil {
		return got, err
	}
	after, err := processorTime()
	if err != nil {
		return got, err
	}
	got.cpu = (after - before).Seconds() + used.CPU
	sent, err := r.reportsSent(ctx)
	if err == nil && (sent > 0) != (user == "loud") {
		err = fmt.Errorf("the user %s has sent %d reports", user, sent)
	}
	return got, err
}

// processorTime returns the processor time of this process.
func processorTime() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// reportsSent returns the number of reports of all registered workers that Redis has counted.
func (r *run) reportsSent(ctx context.Context) (sent int, err error) {
	ids, err := r.Server.Client.ZRange(ctx, "{dq:0}:workers", 0, -1).Result()
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		n, err := r.Server.Client.HGet(ctx, "{dq:0}:w:"+id, "report").Int()
		if err == nil {
			sent += n
		}
	}
	return sent, nil
}

// A reportCount has the reports of the workers while they were busy, and while they were idle.
type reportCount struct {
	busy, idle int
	seconds    float64       // of each of both times
	spent      time.Duration // in Redis, for those of the busy workers
}

func busyReports(c reportCount) (float64, string) {
	return float64(c.busy) / c.seconds / reporting, fmt.Sprintf("%d reports of %d workers in %.0f s", c.busy, reporting, c.seconds)
}

func reportShare(c reportCount) (float64, string) {
	return c.spent.Seconds() / c.seconds, fmt.Sprintf("%v for %d reports, as SLOWLOG has them", c.spent, c.busy)
}

func idleReports(c reportCount) (float64, string) {
	return float64(c.idle), fmt.Sprintf("in %.0f s", c.seconds)
}

// reportsOf counts the reports of workers that have items all the time, and then none.
func reportsOf(figure func(reportCount) (float64, string)) figure {
	return func(ctx context.Context, r *run) (got float64, note string, err error) {
		err = r.Fresh(ctx, slots, nil, func(ctx context.Context, ex *executor.Executor) error {
			c, err := r.countReports(ctx, ex)
			got, note = figure(c)
			return err
		})
		return got, note, err
	}
}

func (r *run) countReports(ctx context.Context, ex *executor.Executor) (c reportCount, err error) {
	ctx, cancel := context.WithCancel(ctx)
	end, err := r.employ(ctx, reporting, rows.Inc, rows.Double)
	if err != nil {
		cancel()
		return c, err
	}
	defer func() {
		cancel()
		err = errors.Join(err, end())
	}()
	in, stop := make(chan int), make(chan struct{})
	q, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		return c, err
	}
	out, err := flow.Through(ctx, q, []workers.Func[int, int]{rows.Inc, rows.Double})
	if err != nil {
		return c, err
	}
	go func() {
		defer close(in)
		for {
			select {
			case in <- 1:
			case <-stop:
				return
			}
		}
	}()
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		for range out {
		}
	}()
	if err := work.Pause(ctx, untilIdle); err != nil {
		return c, err
	}
	if c.busy, c.seconds, c.spent, err = r.watchReports(ctx); err != nil {
		return c, err
	}
	close(stop)
	<-delivered
	if err := work.Pause(ctx, untilIdle); err != nil { // the last counts are reported
		return c, err
	}
	c.idle, _, _, err = r.watchReports(ctx)
	return c, err
}

// watchReports counts reports for a while, and the time that Redis needs for them.
func (r *run) watchReports(ctx context.Context) (reports int, seconds float64, spent time.Duration, err error) {
	before, err := r.reportsSent(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	begin := time.Now()
	entries, err := r.slow(ctx, 0, func() error { return work.Pause(ctx, reportWatch) })
	if err != nil {
		return 0, 0, 0, err
	}
	seconds = time.Since(begin).Seconds()
	after, err := r.reportsSent(ctx)
	for _, e := range entries {
		if len(e.Args) > 5 && strings.EqualFold(e.Args[0], "evalsha") && strings.HasSuffix(e.Args[5], ":watched") {
			spent += e.Duration
		}
	}
	return after - before, seconds, spent, err
}

// employ starts workers of one slot in this process. The caller cancels ctx and calls end.
func (r *run) employ(ctx context.Context, n int, functions ...workers.Function) (end func() error, err error) {
	ended := make(chan error, n)
	for range n {
		w, err := workers.New(r.Server.URL(), workers.Functions(functions...), workers.Concurrency(1), workers.Logger(nil))
		if err != nil {
			return nil, err
		}
		go func() { ended <- w.Run(ctx) }()
		select {
		case <-w.Ready():
		case err := <-ended:
			return nil, errors.Join(err, errors.New("a worker does not start"))
		}
	}
	return func() (err error) {
		for range n {
			err = errors.Join(err, <-ended)
		}
		return err
	}, nil
}
