// Package child runs functions that are written in other languages. Each slot has a process that
// stays and gets calls over its stdin and stdout. docs/children.md describes the protocol.
package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// helloTimeout is the time in which a child has to write its hello.
const helloTimeout = 30 * time.Second

// A Set is the children of one command line.
type Set struct {
	commands  *command.Set
	line      string
	stderr    io.Writer
	functions []function

	mu      sync.Mutex
	idle    []*child
	started int
}

// Open starts the first child and waits for its hello, which lists its functions. commands.Close
// ends the processes. Their stderr is copied to stderr.
func Open(ctx context.Context, commands *command.Set, line string, stderr io.Writer) (*Set, error) {
	s := &Set{commands: commands, line: line, stderr: stderr}
	c, err := s.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("child %q: %w", line, err)
	}
	s.functions, s.idle = c.functions, []*child{c}
	return s, nil
}

// Functions returns the functions of the children. An item fails if it kills its child twice. Other
// items of the same call do not fail.
func (s *Set) Functions() []workers.Function {
	var all []workers.Function
	for _, f := range s.functions {
		types := runner.Types{In: codec.Info{Codec: f.InCodec, Type: f.In}, Out: codec.Info{Codec: f.OutCodec, Type: f.Out}}
		batches := func(ctx context.Context, items []codec.Item) ([]codec.Item, error) {
			results, err := s.call(ctx, f.Name, items)
			if some, ok := errors.AsType[workers.Errors](err); ok {
				err = runner.Failed(some)
			}
			return results, err
		}
		all = append(all, workers.Func[codec.Item, codec.Item](runner.DefineBatch(f.Name, batches, runner.Definition{
			Encoded: &types, MinItems: min(1, f.Max), MaxItems: f.Max,
		})))
	}
	return all
}

// A child is a running process.
type child struct {
	*command.Talk
	in        *bufio.Reader
	calls     int64
	functions []function
}

// start starts a child and reads its hello.
func (s *Set) start(ctx context.Context) (*child, error) {
	talk, err := s.commands.Talk(ctx, s.line, s.log())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helloTimeout, fmt.Errorf("the child has not written its hello for %v; see docs/children.md", helloTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() { talk.Kill(context.Cause(ctx)) })()
	c := &child{Talk: talk, in: bufio.NewReaderSize(talk, 64<<10)}
	var first hello
	err = readLine(c.in, &first)
	if err == nil && (first.V != version || len(first.Functions) == 0) {
		err = fmt.Errorf("%w: the hello has version %d and %d functions, not version %d and at least one function", errProtocol, first.V, len(first.Functions), version)
	}
	if err != nil {
		return nil, c.fail(err)
	}
	c.functions = first.Functions
	return c, nil
}

// log returns the writer for the stderr of the next child.
func (s *Set) log() io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	return &prefixWriter{to: s.stderr, prefix: fmt.Sprintf("child %d: ", s.started)}
}

// A prefixWriter writes a prefix before each line.
type prefixWriter struct {
	to      io.Writer
	prefix  string
	partial []byte // the beginning of a line
}

// Write ignores errors of the underlying writer: the log of a child is not essential.
func (l *prefixWriter) Write(b []byte) (int, error) {
	l.partial = append(l.partial, b...)
	end := bytes.LastIndexByte(l.partial, '\n') + 1
	if end == 0 && len(l.partial) < maxHeader {
		return len(b), nil
	}
	if end == 0 {
		end = len(l.partial)
	}
	for line := range bytes.Lines(l.partial[:end]) {
		_, _ = fmt.Fprintf(l.to, "%s%s\n", l.prefix, bytes.TrimRight(line, "\n"))
	}
	l.partial = append(l.partial[:0], l.partial[end:]...)
	return len(b), nil
}

// fail ends a child after err, and returns the error of its call.
func (c *child) fail(err error) error {
	if errors.Is(err, errProtocol) {
		c.Kill(err)
		_ = c.End()
		return err
	}
	return fmt.Errorf("%w: %w", errDead, c.End())
}

// errDead is the error of a child that has died.
var errDead = errors.New("the child has died")

// take returns an idle child, or a new one.
func (s *Set) take(ctx context.Context) (*child, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	c, err := s.start(ctx)
	if err == nil && !slices.Equal(c.functions, s.functions) {
		err = c.fail(fmt.Errorf("%w: it has other functions than the first child", errProtocol))
	}
	if err != nil && ctx.Err() == nil {
		err = workers.Unavailable(err)
	}
	return c, err
}

func (s *Set) put(c *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

// call runs a function on items. If the child dies, each item runs alone, and once more if its
// child dies again.
func (s *Set) call(ctx context.Context, name string, items []codec.Item) ([]codec.Item, error) {
	about, _ := workers.ItemFrom(ctx)
	results, err := s.ask(ctx, name, about, items)
	if !errors.Is(err, errDead) || ctx.Err() != nil {
		return results, err
	}
	results = make([]codec.Item, len(items))
	failed := workers.Errors{}
	for i := range items {
		one, err := s.callSingle(ctx, name, about, items[i:i+1])
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if some, ok := errors.AsType[workers.Errors](err); ok {
			err = some[0]
		}
		if err != nil {
			failed[i] = err
		} else {
			results[i] = one[0]
		}
	}
	if len(failed) > 0 {
		return results, failed
	}
	return results, nil
}

// callSingle runs a function on one item, and once more if the child dies.
func (s *Set) callSingle(ctx context.Context, name string, about workers.Item, item []codec.Item) (result []codec.Item, err error) {
	for range 2 {
		if result, err = s.ask(ctx, name, about, item); !errors.Is(err, errDead) {
			break
		}
	}
	return result, err
}

// ask runs a function on items in one child. The end of ctx kills the child.
func (s *Set) ask(ctx context.Context, name string, about workers.Item, items []codec.Item) ([]codec.Item, error) {
	c, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Kill(context.Cause(ctx)) })
	results, failed, err := c.ask(ctx, name, about, items)
	if !stop() {
		_ = c.End()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.put(c)
	return results, failed
}

func (c *child) ask(ctx context.Context, name string, about workers.Item, items []codec.Item) (results []codec.Item, failed, err error) {
	var frame batch.Builder
	for _, item := range items {
		frame.Value(item)
	}
	c.calls++
	head := request{
		Call: c.calls, Function: name, Items: len(items), Bytes: frame.Size(),
		Queue: about.Queue, Source: about.Source, Offset: about.Offset, Attempt: about.Attempt,
	}
	if deadline, ok := ctx.Deadline(); ok {
		head.Deadline = deadline.UnixMilli()
	}
	line, err := json.Marshal(head)
	if err != nil {
		return nil, nil, err
	}
	written := make(chan error, 1)
	go func() { // a child may write results before it has read all items
		_, err := c.Write(append(append(line, '\n'), frame.Take()...))
		written <- err
	}()
	results, failed, err = readReply(c.in, c.calls, len(items))
	if err != nil {
		err = c.fail(err)
	}
	if broken := <-written; err == nil && broken != nil { // it has answered before it has read all items
		err = c.fail(broken)
	}
	return results, failed, err
}
