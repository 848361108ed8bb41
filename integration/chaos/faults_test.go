package chaos

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func nothing(*flow) {}

func (f *flow) any() int { return f.rng.IntN(len(f.fleet)) }

// between returns a channel that fires after a random duration between low and high.
func (f *flow) between(low, high time.Duration) <-chan time.Time {
	return time.After(low + time.Duration(f.rng.Int64N(int64(high-low))))
}

// killWorker kills a worker with SIGKILL and starts a new one.
func killWorker(f *flow) {
	i := f.any()
	f.fleet[i].kill()
	f.fleet[i] = f.worker()
}

// stopWorker stops a worker for longer than its lease.
func stopWorker(f *flow) {
	p := f.fleet[f.any()]
	p.hit = true
	p.signal(f.t, syscall.SIGSTOP)
	<-f.between(3*f.s.lease, 4*f.s.lease)
	p.signal(f.t, syscall.SIGCONT)
}

// drainWorker terminates a worker normally and starts a new one.
func drainWorker(f *flow) {
	i := f.any()
	old := f.fleet[i]
	f.fleet[i] = f.worker()
	old.end(f.t)
	old.join(f)
}

// cutReply lets a script run and drops its reply.
func cutReply(f *flow) {
	skip := f.rng.IntN(20)
	cut := f.proxy.CutAfterRequest(func(request []byte) bool {
		skip--
		return skip < 0 && bytes.Contains(bytes.ToLower(request), []byte("evalsha"))
	})
	select {
	case <-cut:
	case <-f.sink.exited:
	}
}

// cutAll cuts every connection.
func cutAll(f *flow) { f.proxy.Cut() }

// delay holds back all bytes for less than a lease.
func delay(f *flow) {
	f.proxy.Pause()
	<-f.between(10*time.Millisecond, min(f.s.lease/2, 500*time.Millisecond))
	f.proxy.Resume()
}

// killGather kills the gather with SIGKILL and starts a successor.
func killGather(f *flow) {
	f.sink.kill()
	f.killed, f.interrupted = f.killed+1, f.interrupted+1
	f.sink = f.start(f.role("gather", 0))
	f.progress()
}

// killProducer kills a producer with SIGKILL and starts a successor of the same name.
func killProducer(f *flow) {
	i := f.rng.IntN(len(f.feeds))
	f.feeds[i].kill()
	f.killed++
	f.feeds[i] = f.start(f.feeds[i].role)
}

// restart kills the server and starts it again.
func restart(f *flow) {
	client := f.client()
	defer client.Close()
	f.weigh(client)
	f.server.Restart()
}

// rollBack kills the server and removes the end of its log. This happens in a crash of the machine
// if not every write is synced, and in a failover to a replica that lags.
func rollBack(f *flow) {
	client := f.client()
	defer client.Close()
	f.weigh(client)
	dir := client.ConfigGet(f.t.Context(), "dir").Val()["dir"]
	f.server.Kill()
	logs, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		f.t.Fatalf("no log in %s: %v", dir, err)
	}
	info, err := os.Stat(logs[0])
	if err == nil {
		err = os.Truncate(logs[0], max(info.Size()/2, info.Size()-1<<10-f.rng.Int64N(1<<18)))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.server.Restart()
}

// anything injects a random one of these faults while the reply to a random process is dropped.
func anything(f *flow) {
	f.proxy.CutAfterRequest(func([]byte) bool { return true })
	all := []func(*flow){killWorker, killWorker, stopWorker, drainWorker, cutReply, cutReply, cutAll, delay, killGather, killProducer, restart}
	all[f.rng.IntN(len(all))](f)
}
