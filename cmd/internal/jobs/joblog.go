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

// CreateJoblog creates or empties a joblog. If path has a leading "+", the joblog keeps its rows.
func CreateJoblog(path string) (*Joblog, error) {
	if strings.HasPrefix(path, "+") {
		return ContinueJoblog(path)
	}
	return openJoblog(path, os.O_TRUNC)
}

// ContinueJoblog opens a joblog that keeps its rows. It ignores a leading "+" of path.
func ContinueJoblog(path string) (*Joblog, error) {
	return openJoblog(strings.TrimPrefix(path, "+"), 0)
}

func openJoblog(path string, flag int) (*Joblog, error) {
	j := &Joblog{file{end: '\n'}}
	if err := j.open("joblog", path, flag); err != nil {
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

// A History has the jobs of earlier runs, from a joblog.
type History struct {
	done      numberSet // all rows
	succeeded numberSet // rows of success
	failed    []Job     // the last rows of the other jobs, with the command line as the value
}

// Done reports whether the joblog has a row of the job.
func (p *History) Done(number int64) bool { return p.done.has(number) }

// Succeeded reports whether the joblog has a row of success of the job.
func (p *History) Succeeded(number int64) bool { return p.succeeded.has(number) }

// Failed returns the jobs without a row of success, in the order of their numbers. Their value is
// the command line.
func (p *History) Failed() []Job { return p.failed }

// ReadJoblog reads a joblog. A missing file counts as an empty one.
func ReadJoblog(path string) (*History, error) {
	path = strings.TrimPrefix(path, "+")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return new(History), nil
	}
	if err != nil {
		return nil, fmt.Errorf("joblog: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	p, err := readHistory(f)
	if err != nil {
		return nil, fmt.Errorf("joblog %s: %w", path, err)
	}
	return p, nil
}

func readHistory(from io.Reader) (*History, error) {
	p, commands := new(History), make(map[int64]string)
	r := bufio.NewReader(from)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) { // the last row is incomplete
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
		if !p.succeeded.has(number) {
			p.failed = append(p.failed, failedJob(number, commands[number]))
		}
	}
	return p, nil
}

func failedJob(number int64, command string) Job {
	line := []string{strings.ReplaceAll(command, "\x00", "\n")}
	return Job{Number: number, Args: line, Lines: line}
}

var errRow = errors.New("no row of a joblog: a row is a number, a host, 6 numbers and a command, separated by tabs")

func (p *History) row(line string, commands map[int64]string) error {
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
		p.succeeded.add(number)
		delete(commands, number)
	} else if !p.succeeded.has(number) {
		commands[number] = fields[8]
	}
	return nil
}

// maxNumber bounds the memory of a numberSet, to 1 GiB.
const maxNumber = 1 << 33

// A numberSet is a set of numbers from 0, with a bit for each.
type numberSet []uint64

func (s *numberSet) add(n int64) {
	for int64(len(*s)) <= n/64 {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s numberSet) has(n int64) bool { return n/64 < int64(len(s)) && s[n/64]&(1<<(n%64)) != 0 }

// all returns the numbers in ascending order.
func (s numberSet) all() func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for n := range int64(len(s)) * 64 {
			if s.has(n) && !yield(n) {
				return
			}
		}
	}
}
