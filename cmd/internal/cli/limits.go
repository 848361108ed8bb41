package cli

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// LimitFlags returns --memfree and --load.
func LimitFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "memfree", Usage: "begin no item while less than `SIZE` of memory is available, such as 500M or 2G", DefaultText: "no limit"},
		&urfave.StringFlag{Name: "load", Usage: "begin no item while the load of this machine is above `N`, or above N% of its processors", DefaultText: "no limit"},
	}
}

// probeInterval is the time for which a measurement is used.
const probeInterval = time.Second

// Limits measures the available memory and the load of the machine. Its methods may be called
// concurrently.
type Limits struct {
	memory int64   // required available bytes; 0: no limit
	load   float64 // highest load; 0: no limit
	proc   string  // directory of the proc file system
	log    *slog.Logger

	mu     sync.Mutex
	probed time.Time // time of the last measurement
	reason error     // its result
}

// ParseLimits returns the limits of --memfree and --load, nil if neither flag is given.
func ParseLimits(c *urfave.Context, log *slog.Logger) (*Limits, error) {
	if !c.IsSet("memfree") && !c.IsSet("load") {
		return nil, nil
	}
	l := &Limits{proc: "/proc", log: log}
	var err error
	if l.memory, err = parseSize(c.String("memfree")); err != nil {
		return nil, Usagef("--memfree %q: %v", c.String("memfree"), err)
	}
	if l.load, err = parseLoad(c.String("load"), runtime.NumCPU()); err != nil {
		return nil, Usagef("--load %q: %v", c.String("load"), err)
	}
	if _, err := l.probe(); err != nil {
		return nil, fmt.Errorf("--memfree and --load need Linux: %w", err)
	}
	return l, nil
}

// Reason returns the reason to begin no item now, nil if there is none.
func (l *Limits) Reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.probed) < probeInterval {
		return l.reason
	}
	reason, err := l.probe()
	if err != nil {
		l.log.Warn("--memfree and --load have no effect: measuring the machine failed", "err", err)
	}
	switch {
	case reason != nil && l.reason == nil:
		l.log.Warn("paused", "why", reason)
	case reason == nil && l.reason != nil:
		l.log.Warn("continues")
	}
	l.reason, l.probed = reason, time.Now()
	return reason
}

// probe measures the machine. It returns the limit that is not met.
func (l *Limits) probe() (reason, err error) {
	if l.memory > 0 {
		available, err := available(filepath.Join(l.proc, "meminfo"))
		if err != nil {
			return nil, err
		}
		if available < l.memory {
			return fmt.Errorf("%d MiB of memory are available, less than %d MiB", available>>20, l.memory>>20), nil
		}
	}
	if l.load > 0 {
		text, err := os.ReadFile(filepath.Join(l.proc, "loadavg"))
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		load, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return nil, err
		}
		if load > l.load {
			return fmt.Errorf("the load is %.1f, above %.1f", load, l.load), nil
		}
	}
	return nil, nil
}

// available returns the available bytes of memory in a meminfo file of the kernel.
func available(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no MemAvailable in " + path)
}

// Size returns the value of a flag: a number of bytes, with a suffix K, M, G or T for powers of 1024.
// It returns 0 if the flag is not given.
func Size(c *urfave.Context, name string) (int64, error) {
	if !c.IsSet(name) {
		return 0, nil
	}
	size, err := parseSize(c.String(name))
	if err == nil && size == 0 {
		err = errNoSize
	}
	if err != nil {
		return 0, Usagef("--%s %q: %v", name, c.String(name), err)
	}
	return size, nil
}

// errNoSize is the error of a text that is no number of bytes.
var errNoSize = errors.New("it is no size such as 500M or 2G")

// parseSize parses a number of bytes. The suffixes K, M, G and T are powers of 1024. An empty text
// is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(strings.ToUpper(text), "KMGT")
	unit := strings.TrimPrefix(strings.ToUpper(text), number)
	n, err := strconv.ParseFloat(number, 64)
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	power, known := shift[unit]
	if n *= float64(int64(1) << power); err != nil || !known || !(n >= 1 && n < math.MaxInt64/2) {
		return 0, errNoSize
	}
	return int64(n), nil
}

// parseLoad parses a load or a percentage of processors. An empty text is 0.
func parseLoad(text string, processors int) (float64, error) {
	if text == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	load, err := strconv.ParseFloat(number, 64)
	if percent {
		load *= float64(processors) / 100
	}
	if err != nil || !(load > 0) {
		return 0, errors.New("it is no number above 0 and no percentage")
	}
	return load, nil
}
