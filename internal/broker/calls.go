package broker

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// Calls are the calls of a process to Redis. Blocked reads are not among them.
type Calls struct {
	// Times are those until the answer, by the verb: the name of a script, the name of a command, or
	// "pipeline" for several commands without a script.
	Times map[string]Histogram
	// Errors are the failed calls by their kind. A call that was given up with its context is none.
	Errors map[string]int64
}

// The kinds of failed calls.
const (
	CallTimeout    = "timeout"    // no answer in time
	CallConnection = "connection" // no connection, or it has ended
	CallFull       = "full"       // the memory of Redis is full
	CallDenied     = "denied"     // the Redis user lacks a permission
	CallServer     = "server"     // Redis cannot answer for now, such as while it loads its data
	CallRefused    = "refused"    // any other answer of Redis that is an error
)

// pipelineVerb is the verb of several commands that are sent at once.
const pipelineVerb = "pipeline"

// MeasureCalls measures the calls of all partitions from now on, at about 0.2 us a call. Without it,
// they cost nothing more.
func (c *Client) MeasureCalls() { c.calls.begin(c.rdb) }

// Calls returns the calls since MeasureCalls. It sends no command.
func (c *Client) Calls() Calls { return c.calls.read() }

// A callMeter measures the calls of a process. It is a hook of go-redis.
type callMeter struct {
	hook    sync.Once
	scripts map[string]string // names of scripts by their hashes

	mu     sync.Mutex // never held across I/O
	times  map[string]*Histogram
	errors map[string]int64
}

func (m *callMeter) begin(rdb redis.UniversalClient) {
	m.hook.Do(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.scripts, m.times, m.errors = scriptNames(), map[string]*Histogram{}, map[string]int64{}
		rdb.AddHook(m)
	})
}

// scriptNames returns the name of each script, as its file has it, by its hash.
func scriptNames() map[string]string {
	all := reflect.ValueOf(scripts)
	names := make(map[string]string, all.NumField())
	for i := range all.NumField() {
		var name strings.Builder
		for _, r := range all.Type().Field(i).Name {
			if unicode.IsUpper(r) {
				name.WriteByte('_')
			}
			name.WriteRune(unicode.ToLower(r))
		}
		names[(*redis.Script)(all.Field(i).UnsafePointer()).Hash()] = name.String()
	}
	return names
}

func (m *callMeter) read() Calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := Calls{Times: make(map[string]Histogram, len(m.times)), Errors: maps.Clone(m.errors)}
	for verb, times := range m.times {
		found.Times[verb] = times.Clone()
	}
	return found
}

// DialHook measures no dialing.
func (*callMeter) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook measures a command.
func (m *callMeter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		m.count(m.verb(cmd), time.Since(began), err)
		return err
	}
}

// ProcessPipelineHook measures several commands as one call. Its error is that of the first command
// that has failed.
func (m *callMeter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, all)
		verb := pipelineVerb
		if last := all[len(all)-1]; last.Name() == "evalsha" { // payloads, and the script that refers to them
			verb = m.verb(last)
		}
		m.count(verb, time.Since(began), err)
		return err
	}
}

// verb returns the name of the script of a command, or of the command without one.
func (m *callMeter) verb(cmd redis.Cmder) string {
	name, hash := cmd.Name(), ""
	switch args := cmd.Args(); {
	case len(args) < 2:
	case name == "evalsha":
		hash, _ = args[1].(string)
	case name == "eval":
		body, _ := args[1].(string)
		hash = redis.NewScript(body).Hash()
	}
	return cmp.Or(m.scripts[hash], name)
}

// count counts a call, but for one of a script that Redis did not know: it is sent again as a whole.
func (m *callMeter) count(verb string, took time.Duration, err error) {
	if err != nil && hasCode(err, "NOSCRIPT") {
		return
	}
	kind := callKind(err)
	m.mu.Lock()
	defer m.mu.Unlock()
	times := m.times[verb]
	if times == nil {
		times = &Histogram{}
		m.times[verb] = times
	}
	times.AddEach(took, 1)
	if kind != "" {
		m.errors[kind]++
	}
}

// callKind returns the kind of an error, "" if the call has not failed.
func callKind(err error) string {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, context.Canceled) {
		return ""
	}
	var network net.Error
	var answer redis.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return CallTimeout
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return CallConnection
	case isFull(err):
		return CallFull
	case isDenial(err):
		return CallDenied
	case isTransientError(err):
		return CallServer
	case errors.As(err, &answer):
		return CallRefused
	}
	return CallConnection
}
