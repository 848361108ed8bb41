package jobs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const joblogHead = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

// A Joblog is a file with a row for each record, in the format of GNU parallel.
type Joblog struct {
	file
}

// CreateJoblog begins a joblog. The path behind a leading "+", or keep, continues the one that is there.
func CreateJoblog(path string, keep bool) (*Joblog, error) {
	path, plus := strings.CutPrefix(path, "+")
	j := &Joblog{file{end: '\n'}}
	if err := j.open("joblog", path, keep || plus); err != nil {
		return nil, err
	}
	if j.size == 0 {
		j.text.WriteString(joblogHead)
	}
	return j, j.Flush()
}

// Add adds the row of a record.
func (j *Joblog) Add(rec *Record) error {
	host, exit := ":", rec.Exit
	if rec.Function {
		host = rec.Worker
		if rec.Failed {
			exit = 1
		}
	}
	if host == "" {
		host = "-"
	}
	fmt.Fprintf(&j.text, "%d\t%s\t%.3f\t%10.3f\t0\t%d\t%d\t%d\t%s\n", rec.Number, host, float64(rec.Start.UnixMicro())/1e6,
		rec.Took.Seconds(), len(rec.Output), exit, rec.Signal, strings.ReplaceAll(rec.Command, "\n", "\x00"))
	return nil
}

// A Past is what a joblog tells of runs before.
type Past struct {
	done   numbers // all rows
	good   numbers // those of success
	failed []Job   // the last rows of the others, with the command as the value
}

// Done reports whether a row of a job is there.
func (p *Past) Done(number int64) bool { return p.done.has(number) }

// Good reports whether a row of a job is there that says success.
func (p *Past) Good(number int64) bool { return p.good.has(number) }

// Failed are the jobs that have not succeeded yet, in the order of their numbers. Their value is the command line.
func (p *Past) Failed() []Job { return p.failed }

// ReadJoblog reads a joblog. A file that does not exist is an empty one.
func ReadJoblog(path string) (*Past, error) {
	path = strings.TrimPrefix(path, "+")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return new(Past), nil
	}
	if err != nil {
		return nil, fmt.Errorf("joblog: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	p, err := readPast(f)
	if err != nil {
		return nil, fmt.Errorf("joblog %s: %w", path, err)
	}
	return p, nil
}

func readPast(from io.Reader) (*Past, error) {
	p, commands := new(Past), make(map[int64]string)
	r := bufio.NewReader(from)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) { // a row without an end was not written to its end
			break
		}
		if err != nil {
			return nil, err
		}
		if n == 1 && strings.HasPrefix(line, "Seq\t") {
			continue
		}
		if err := p.row(strings.TrimSuffix(line, "\n"), commands); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	for number := range p.done.all() {
		if !p.good.has(number) {
			p.failed = append(p.failed, failedJob(number, commands[number]))
		}
	}
	return p, nil
}

func failedJob(number int64, command string) Job {
	line := []string{strings.ReplaceAll(command, "\x00", "\n")}
	return Job{Number: number, Args: line, Lines: line}
}

var errRow = errors.New("it is no row of a joblog: number, host, 6 numbers and a command, with tabs between")

func (p *Past) row(line string, commands map[int64]string) error {
	fields := strings.SplitN(line, "\t", 9)
	if len(fields) != 9 {
		return errRow
	}
	number, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || number < 1 || number > maxNumber {
		return errRow
	}
	p.done.add(number)
	if fields[6] == "0" && fields[7] == "0" {
		p.good.add(number)
		delete(commands, number)
	} else if !p.good.has(number) {
		commands[number] = fields[8]
	}
	return nil
}

// maxNumber bounds the memory of numbers, to 1 GiB.
const maxNumber = 1 << 33

// numbers is a set of numbers from 0, a bit for each.
type numbers []uint64

func (s *numbers) add(n int64) {
	for int64(len(*s)) <= n/64 {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s numbers) has(n int64) bool { return n/64 < int64(len(s)) && s[n/64]&(1<<(n%64)) != 0 }

// all are the numbers in their order.
func (s numbers) all() func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for n := range int64(len(s)) * 64 {
			if s.has(n) && !yield(n) {
				return
			}
		}
	}
}
