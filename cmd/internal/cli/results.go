package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

const (
	// coalesceTime is the minimum time between two writes, unless outputSize bytes are collected.
	coalesceTime = 5 * time.Millisecond
	// redraw is the interval of the status line.
	redraw = 200 * time.Millisecond
	// lastWriteTime bounds a blocked write after the command was stopped.
	lastWriteTime = 200 * time.Millisecond
)

// A Result is an encoded item or its failure.
type Result = bridge.Result[codec.Item]

// A Printer prints results as lines. It writes the collected lines as soon as no further result
// waits, and acknowledges a result after its line was written.
type Printer struct {
	Out     io.Writer
	Console *Console
	Name    string // of the command; a prefix of messages
	Errors  ErrorPolicy
	Each    bool // report each failure on the Console at once
	// Records makes records of results; nil: FunctionRecords.
	Records Records
	// Style is the text format of records.
	Style Style
	// Unit is the name of an item in messages; empty: "line".
	Unit string
	// Progress makes the status line, or lines of a log; nil: none.
	Progress *Progress
	// Remedy is the Remedy of an OutputError.
	Remedy string
	// Breaker halts the output of functions; nil: never. The runner of a command counts its jobs
	// itself.
	Breaker *jobs.Breaker
	// Counted says that an item of the source may have no result or several ones. Then the progress counts
	// the items up to that of the last result, and the number of results says nothing about the failures.
	Counted bool
	// Follow continues after a source that broke.
	Follow bool
	// Acks acknowledges the results; nil: each is acknowledged after its line was written.
	Acks *Acks
	// Logs get each record after its output was written.
	Logs []Log

	out       *output
	flushed   time.Time
	collected pendingOutput
	writing   pendingOutput
	lines     int64 // number of written lines
	broken    bool  // a write has failed: a further one would leave a gap
	total     int64
	failed    int64
	inputs    int64  // items of the source up to that of the last result
	cut       error  // error of the first source that broke
	simple    bool   // values are printed without making records
	first     string // the first failure
}

// A Log is a file of records. Flush writes the records that Add has added.
type Log interface {
	Add(rec *Record) error
	Flush() error
	Close() error
}

// pendingOutput has results whose lines are collected or being written.
type pendingOutput struct {
	results [][]Result
	records []Record // for Logs
	lines   int64
}

var errStop = errors.New("a failed item ends the output")

// Print prints all results. It returns ItemsFailed if items failed, StreamBroken if the stream is
// incomplete, and the cause of ctx if ctx has ended.
func (p *Printer) Print(ctx context.Context, results <-chan []Result) error {
	if p.Style.End == "" && !p.Style.Jobs {
		p.Style.End = "\n"
	}
	p.out = newOutput(p.Out, p.Style.lineEnd())
	if p.Records == nil {
		p.Records = new(FunctionRecords)
	}
	p.Unit = cmp.Or(p.Unit, "line")
	functions, ok := p.Records.(*FunctionRecords)
	p.simple = ok && functions.Ledger == nil && p.Style.isPlain() && len(p.Logs) == 0 && p.Breaker == nil
	defer p.out.close()
	err := p.loop(ctx, results)
	p.Console.Clear()
	stopped := errors.Is(err, errStop)
	if stopped {
		err = nil
	}
	if !p.broken {
		err = errors.Join(err, p.flush(ctx))
	}
	if ctx.Err() != nil && !p.broken {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWriteTime)
		defer cancel()
		_ = p.flush(late) // the caller gets the cause of ctx
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case p.failed > 0 && p.cut != nil:
		return errors.Join(p.itemsFailed(), StreamBroken{p.cut})
	case p.failed > 0:
		return p.itemsFailed()
	case p.cut != nil:
		return StreamBroken{p.cut}
	}
	return nil
}

// done is the number of items that are done, for the progress.
func (p *Printer) done() int64 {
	if p.Counted {
		return p.inputs
	}
	return p.total
}

func (p *Printer) loop(ctx context.Context, results <-chan []Result) error {
	tick := p.Progress.ticks()
	defer tick.Stop()
	for {
		select {
		case all, ok := <-results:
			if !ok {
				return nil
			}
			if err := p.print(ctx, all); err != nil {
				return err
			}
			continue
		default:
		}
		wait, err := p.writeIdle(ctx)
		if err != nil {
			return err
		}
		select {
		case all, ok := <-results:
			if !ok {
				return nil
			}
			err = p.print(ctx, all)
		case err = <-p.out.wrote:
			err = p.finishWrite(err)
		case <-wait:
		case <-tick.C:
			if !p.out.writing || p.Progress.Every > 0 { // a write may go to the terminal of the status line
				p.Progress.show(p.Console, p.Name, p.done(), p.failed)
			}
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writeIdle writes the collected lines, or returns a timer for the earliest time to write them.
func (p *Printer) writeIdle(ctx context.Context) (<-chan time.Time, error) {
	if p.out.writing || len(p.collected.results) == 0 {
		return nil, nil
	}
	if since := time.Since(p.flushed); since < coalesceTime {
		return time.After(coalesceTime - since), nil
	}
	return nil, p.write(ctx)
}

// flush writes the collected lines and waits for the end of the write.
func (p *Printer) flush(ctx context.Context) error {
	err := p.write(ctx)
	if err == nil {
		err = p.wait(ctx)
	}
	return err
}

// write waits for the end of the running write and begins to write the collected lines.
func (p *Printer) write(ctx context.Context) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	p.writing, p.collected = p.collected, pendingOutput{results: p.writing.results[:0], records: p.writing.records[:0]}
	if len(p.out.text) == 0 {
		return p.finishWrite(nil)
	}
	if IsTerminal(p.Out) { // the Console may be on the same terminal
		p.Console.Clear()
	}
	p.out.start()
	return nil
}

func (p *Printer) wait(ctx context.Context) error {
	if !p.out.writing {
		return nil
	}
	err := p.out.wait(ctx)
	if p.out.writing { // ctx has ended
		return err
	}
	return p.finishWrite(err)
}

// finishWrite acknowledges and logs the results of a write that has ended.
func (p *Printer) finishWrite(err error) error {
	p.out.writing = false
	if err != nil {
		p.broken = true
		return OutputError{err, p.lines + p.out.whole, p.Remedy}
	}
	for _, all := range p.writing.results {
		if p.Acks != nil {
			p.Acks.written(all)
		} else {
			bridge.AckAll(all)
		}
	}
	p.lines += p.writing.lines
	err = p.log()
	clear(p.writing.results)
	clear(p.writing.records)
	p.writing = pendingOutput{results: p.writing.results[:0], records: p.writing.records[:0]}
	p.flushed = time.Now()
	return err
}

// log adds the written records to the Logs. An error ends the output.
func (p *Printer) log() error {
	for _, log := range p.Logs {
		for i := range p.writing.records {
			if err := log.Add(&p.writing.records[i]); err != nil {
				p.broken = true
				return err
			}
		}
		if err := log.Flush(); err != nil {
			p.broken = true
			return err
		}
	}
	return nil
}

// print collects the lines of results, and writes whenever outputSize bytes are collected.
func (p *Printer) print(ctx context.Context, all []Result) error {
	from := 0
	for i, r := range all {
		err := p.printResult(ctx, r)
		if err == nil && len(p.out.text) < outputSize {
			continue
		}
		if err == nil || errors.Is(err, errStop) {
			p.collected.results = append(p.collected.results, all[from:i+1])
			from = i + 1
		}
		if err == nil {
			err = p.write(ctx)
		}
		if err != nil {
			return err
		}
	}
	if from < len(all) {
		p.collected.results = append(p.collected.results, all[from:])
	}
	return nil
}

// printResult collects the line of a result. The value of a function needs no allocation.
func (p *Printer) printResult(ctx context.Context, r Result) error {
	if p.Counted {
		p.inputs = max(p.inputs, r.Offset()+1)
	}
	if p.simple && r.Err == nil {
		p.total++
		p.out.text = append(append(p.out.text, r.Value...), p.Style.End...)
		p.collected.lines++
		return nil
	}
	rec, err := p.Records.Next(r)
	switch {
	case bridge.IsSourceError(err):
		return p.sourceError(ctx, err)
	case err != nil:
		return StreamBroken{err}
	case rec.Skipped:
		return nil
	}
	p.total++
	if rec.Number == 0 {
		rec.Number = p.total
	}
	if len(p.Logs) > 0 {
		p.collected.records = append(p.collected.records, *rec)
	}
	halts := p.Breaker != nil && p.Breaker.Ended(jobs.End{Failed: rec.Failed}) && p.Breaker.Halt.Now
	if err := p.record(ctx, rec); err != nil || !halts {
		return err
	}
	return errStop
}

func (p *Printer) record(ctx context.Context, rec *Record) error {
	if !rec.Failed || p.Style.Jobs || p.Style.JSON {
		p.out.text = p.Style.Format(p.out.text, rec)
		p.collected.lines++
	}
	if err := p.stderr(ctx, p.Style.Stderr(rec)); err != nil || !rec.Failed {
		return err
	}
	p.failed++
	text := fmt.Sprintf("%s %d: %s", p.Unit, rec.Number, rec.Why)
	if p.Errors == Inline && !p.Style.JSON {
		p.out.text = append(append(p.out.text, text...), p.Style.End...)
		p.collected.lines++
		return nil
	}
	text += quotedInput(rec)
	if p.first == "" {
		p.first = text
	}
	if p.Errors == Stop {
		return errStop
	}
	if !p.Each {
		return nil
	}
	return p.stderr(ctx, fmt.Appendf(nil, "%s: %s\n", p.Name, text))
}

// shownRunes is the largest number of characters of an item in a message.
const shownRunes = 60

// quotedInput returns the quoted beginning of an item, for the text of its failure. It is empty if
// the item is unknown, and for a command, whose text has the item.
func quotedInput(rec *Record) string {
	if len(rec.Args) == 0 || !rec.Function {
		return ""
	}
	text := strings.Join(rec.Args, " ")
	if runes := []rune(text[:min(len(text), 4*(shownRunes+1))]); len(runes) > shownRunes {
		return fmt.Sprintf(": %q...", string(runes[:shownRunes]))
	}
	return fmt.Sprintf(": %q", text)
}

// sourceError handles the error of a source that broke, or whose process has died and may have a
// successor.
func (p *Printer) sourceError(ctx context.Context, err error) error {
	if p.Follow || !errors.Is(err, executor.ErrTruncated) {
		return p.stderr(ctx, fmt.Appendf(nil, "%s: %s\n", p.Name, Printable(err.Error())))
	}
	if p.cut = cmp.Or(p.cut, err); p.Errors == Stop {
		return errStop
	}
	return nil
}

// stderr writes text after the collected lines, so that a terminal shows both in order.
func (p *Printer) stderr(ctx context.Context, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	_, _ = p.Console.Write(text) // an error of stderr does not end the output
	return nil
}
