package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// quietTime is the wait for an extra line if the system does not show the state of the process.
	quietTime = time.Millisecond
	// maxIdleWait bounds the wait for a process to become idle after its last answer.
	maxIdleWait = 2 * time.Second
	// slowAnswer is the time without an answer after which a process is reported.
	slowAnswer = 5 * time.Second
	// minID is the lowest id of a line. It is large, so that other numbers in the output are not
	// ids.
	minID = 1_000_000_000
)

// flushHint is the remedy for commands that do not flush.
const flushHint = "if it keeps its output in a buffer, use stdbuf -oL, sed -u, python -u, or fflush() of awk"

// A peer is a process of a coproc.
type peer struct {
	*process
	c        *coproc
	exited   chan struct{} // closed after the end of the process
	err      error         // the reason of the end; set before exited is closed
	received chan struct{} // has a token if there are new lines
	warned   bool          // that it is slow
	first    int64         // id of the first line of the call
	strays   sync.Once     // warns about the first line without an id

	mu      sync.Mutex
	partial []byte   // the beginning of a line
	lines   []string // received and not taken
	calling bool     // a call expects lines
}

// startPeer starts a process, which outlives ctx.
func (c *coproc) startPeer(ctx context.Context) (*peer, error) {
	p := &peer{process: newProcess(c.command), c: c, exited: make(chan struct{}), received: make(chan struct{}, 1), first: minID + rand.Int64N(minID)}
	p.stdout, p.keepInput = p, true
	if err := c.launcher.start(context.WithoutCancel(ctx), p.process); err != nil {
		return nil, err
	}
	go p.watch()
	return p, nil
}

func (p *peer) watch() {
	defer close(p.exited)
	err := p.c.launcher.wait(p.process)
	if err == nil {
		err = p.exitError()
	}
	p.err = &noAnswerError{err}
}

// Write takes output of the process.
func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := bytes.IndexByte(b, '\n')
	if line := len(p.partial) + len(b); end < 0 && line > maxOutput || end >= 0 && len(p.partial)+end >= maxOutput {
		p.kill(errTooLarge)
		return 0, errTooLarge
	}
	if end < 0 {
		p.partial = append(p.partial, b...)
		return len(b), nil
	}
	last := bytes.LastIndexByte(b, '\n')
	lines := strings.Split(string(append(p.partial, b[:last]...)), "\n")
	p.partial = append([]byte(nil), b[last+1:]...)
	p.lines = append(p.lines, lines...)
	switch {
	case p.calling:
	case p.c.withIDs:
		p.lines = nil
		p.stray(lines[0])
	default:
		p.kill(errOutOfStep)
	}
	select {
	case p.received <- struct{}{}:
	default:
	}
	return len(b), nil
}

// hasStray reports whether the process has written an extra line.
func (p *peer) hasStray() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines) > 0 && !p.c.withIDs
}

// takeLines returns the received lines and removes them.
func (p *peer) takeLines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// ask writes lines and returns the answers, nil for a missing one. After an error the caller has to
// end the process.
func (p *peer) ask(ctx context.Context, lines []string) (answers []*string, err error) {
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	p.setCalling()
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.stdin, p.request(lines))
		written <- err
	}()
	answers, err = p.collect(len(lines))
	p.setIdle()
	p.first += int64(len(lines))
	if !stop() {
		p.end(context.Cause(ctx))
		<-written //nolint:errcheck // the call has failed already
		return nil, fmt.Errorf("%w (the coprocess has not answered; %s)", context.Cause(ctx), flushHint)
	}
	if err != nil {
		p.end(err)
	}
	if broken := <-written; broken != nil { // it has answered before it has read all lines
		p.end(broken)
	}
	return answers, err
}

// request returns the input of the process for lines.
func (p *peer) request(lines []string) string {
	var text strings.Builder
	for i, line := range lines {
		if p.c.withIDs {
			text.WriteString(strconv.FormatInt(p.first+int64(i), 10))
			text.WriteByte(' ')
		}
		text.WriteString(line)
		text.WriteByte('\n')
	}
	return text.String()
}

// collect waits for n answers, and then checks for extra lines.
func (p *peer) collect(n int) (answers []*string, err error) {
	answers = make([]*string, n)
	slow := time.NewTimer(slowAnswer)
	defer slow.Stop()
	for have := 0; have < n; {
		over := false
		select {
		case <-p.received:
		case <-p.exited:
			over = true
		case <-slow.C:
			p.warn(have)
		}
		came, err := p.answer(answers, have)
		if err != nil {
			return nil, err
		}
		if have += came; came > 0 {
			slow.Reset(slowAnswer)
		}
		if over && have < n {
			return answers, p.err
		}
	}
	if p.c.withIDs {
		return answers, nil
	}
	if p.waitIdle(); p.hasStray() {
		return nil, errOutOfStep
	}
	return answers, nil
}

// waitIdle waits until the process is idle, so that its complete output is received. It waits for
// maxIdleWait at most, or for quietTime if the system does not show the state of the process.
func (p *peer) waitIdle() {
	tick := time.NewTicker(quietTime / 10)
	defer tick.Stop()
	for begin, sure := time.Now(), 0; sure < 2 && !p.hasStray(); {
		select {
		case <-p.exited:
			return
		case <-tick.C: // gives stream.run time to read a written line
		}
		is, known := idle(p.proc.Pid)
		if spent := time.Since(begin); !known && spent >= quietTime || spent >= maxIdleWait {
			return
		}
		if sure++; !is {
			sure = 0
		}
	}
}

// setCalling records that the process may write lines.
func (p *peer) setCalling() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calling = true
}

// setIdle records that every further line is an extra one.
func (p *peer) setIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calling = false
}

// answer puts the received lines into answers, of which have are filled, and returns their number.
func (p *peer) answer(answers []*string, have int) (came int, err error) {
	lines := p.takeLines()
	for i := range lines {
		at, line := have+came, lines[i]
		if p.c.withIDs {
			if at, line = p.splitID(line, len(answers)); at < 0 || answers[at] != nil {
				p.stray(lines[i])
				continue
			}
		}
		if at >= len(answers) {
			return came, errOutOfStep
		}
		answers[at] = &line
		came++
	}
	return came, nil
}

// splitID splits a line into its id and its answer. It returns the index of the item of the id
// among n, or -1 if the line has no id of the call.
func (p *peer) splitID(line string, n int) (at int, answer string) {
	id, answer, _ := strings.Cut(line, " ")
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number < p.first || number >= p.first+int64(n) {
		return -1, ""
	}
	return int(number - p.first), answer
}

// stray warns once about lines that answer no item.
func (p *peer) stray(line string) {
	p.strays.Do(func() {
		p.c.log.Warn("a coprocess writes lines without the id of an item; they are dropped", "function", p.c.name, "line", shorten(line))
	})
}

// warn warns once that the process is slow.
func (p *peer) warn(answered int) {
	if !p.warned {
		p.warned = true
		p.c.log.Warn("a coprocess has not answered for 5s; "+flushHint, "function", p.c.name, "answered", answered)
	}
}

// shorten returns the beginning of a line, for the log.
func shorten(line string) string { return fmt.Sprintf("%.100q", line) }

// end kills the process and waits for its end.
func (p *peer) end(cause error) {
	p.kill(cause)
	<-p.exited
}
