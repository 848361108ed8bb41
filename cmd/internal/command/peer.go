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
	// quietTime is how long a line too many is waited for if it is not known what the process does.
	quietTime = time.Millisecond
	// maxSettle is how long a process may go on after its last answer.
	maxSettle = 2 * time.Second
	// slowAnswer is after how long without an answer a process is reported.
	slowAnswer = 5 * time.Second
	// firstID is the least id of the lines of a process, so that no number that it prints by itself is taken for one.
	firstID = 1_000_000_000
)

// remedies is for commands that do not flush.
const remedies = "if it keeps its output in a buffer, use stdbuf -oL, sed -u, python -u, or fflush() of awk"

// A peer is a process of a coproc.
type peer struct {
	*process
	c      *coproc
	gone   chan struct{} // closed after its end
	err    error         // why there is no answer; set when gone is closed
	news   chan struct{} // has a token if lines have come
	told   bool          // that it is slow
	first  int64         // id of the first line that was asked for
	strays sync.Once     // tells of the first line without an id

	mu      sync.Mutex
	partial []byte   // of a line
	lines   []string // that have come and were not taken
	asked   bool     // lines may come
}

// peer starts a process. It outlives ctx.
func (c *coproc) peer(ctx context.Context) (*peer, error) {
	p := &peer{process: newProcess(c.command), c: c, gone: make(chan struct{}), news: make(chan struct{}, 1), first: firstID + rand.Int64N(firstID)}
	p.stdout, p.keepInput = p, true
	if err := c.launcher.start(context.WithoutCancel(ctx), p.process); err != nil {
		return nil, err
	}
	go p.watch()
	return p, nil
}

func (p *peer) watch() {
	defer close(p.gone)
	err := p.c.launcher.wait(p.process)
	if err == nil {
		err = p.exitError()
	}
	p.err = &deathError{err}
}

// Write takes what the process writes to stdout.
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
	case p.asked:
	case p.c.framed:
		p.lines = nil
		p.stray(lines[0])
	default:
		p.kill(errOutOfStep)
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

// strayed reports whether the process has written a line that nothing asked for.
func (p *peer) strayed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines) > 0 && !p.c.framed
}

// takeLines returns the lines that have come.
func (p *peer) takeLines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// ask writes lines and returns the answers, nil for each that did not come. The process is to be ended after an error.
func (p *peer) ask(ctx context.Context, lines []string) (answers []*string, err error) {
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	p.expect(true)
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.stdin, p.request(lines))
		written <- err
	}()
	answers, err = p.collect(len(lines))
	p.expect(false)
	p.first += int64(len(lines))
	if !stop() {
		p.end(context.Cause(ctx))
		<-written //nolint:errcheck // the caller has left
		return nil, fmt.Errorf("%w (the coprocess has not answered; %s)", context.Cause(ctx), remedies)
	}
	if err != nil {
		p.end(err)
	}
	if broken := <-written; broken != nil { // it has answered before it has read all
		p.end(broken)
	}
	return answers, err
}

// request returns lines as the process gets them.
func (p *peer) request(lines []string) string {
	var text strings.Builder
	for i, line := range lines {
		if p.c.framed {
			text.WriteString(strconv.FormatInt(p.first+int64(i), 10))
			text.WriteByte(' ')
		}
		text.WriteString(line)
		text.WriteByte('\n')
	}
	return text.String()
}

// collect waits for n answers, and looks whether there are more.
func (p *peer) collect(n int) (answers []*string, err error) {
	answers = make([]*string, n)
	slow := time.NewTimer(slowAnswer)
	defer slow.Stop()
	for have := 0; have < n; {
		over := false
		select {
		case <-p.news:
		case <-p.gone:
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
	if p.c.framed {
		return answers, nil
	}
	if p.settle(); p.strayed() {
		return nil, errOutOfStep
	}
	return answers, nil
}

// settle waits until the process waits for its next line, so that all that it writes has come: for maxSettle at most, or
// for quietTime if the system does not tell what it does.
func (p *peer) settle() {
	tick := time.NewTicker(quietTime / 10)
	defer tick.Stop()
	for begin, sure := time.Now(), 0; sure < 2 && !p.strayed(); {
		select {
		case <-p.gone:
			return
		case <-tick.C: // also while a line that is there is being read
		}
		is, known := idle(p.proc.Pid)
		if spent := time.Since(begin); !known && spent >= quietTime || spent >= maxSettle {
			return
		}
		if sure++; !is {
			sure = 0
		}
	}
}

func (p *peer) expect(lines bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = lines
}

// answer puts the lines that have come in their places. have are there already.
func (p *peer) answer(answers []*string, have int) (came int, err error) {
	lines := p.takeLines()
	for i := range lines {
		at, line := have+came, lines[i]
		if p.c.framed {
			if at, line = p.frame(line, len(answers)); at < 0 || answers[at] != nil {
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

// frame takes a line apart. at is the place of its item among n, -1 if it has none.
func (p *peer) frame(line string, n int) (at int, answer string) {
	id, answer, _ := strings.Cut(line, " ")
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number < p.first || number >= p.first+int64(n) {
		return -1, ""
	}
	return int(number - p.first), answer
}

// stray tells once of lines that answer no item.
func (p *peer) stray(line string) {
	p.strays.Do(func() {
		p.c.log.Warn("a coprocess writes lines that begin with no id of an item; they are left out", "function", p.c.name, "line", short(line))
	})
}

// warn tells once that the process is slow.
func (p *peer) warn(answered int) {
	if !p.told {
		p.told = true
		p.c.log.Warn("a coprocess has got a line and has not answered for 5s; "+remedies, "function", p.c.name, "answered", answered)
	}
}

// short returns the beginning of a line for a log.
func short(line string) string { return fmt.Sprintf("%.100q", line) }

// end kills the process and waits until it is gone.
func (p *peer) end(cause error) {
	p.kill(cause)
	<-p.gone
}
