package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/workers"
)

// BatchFlags returns --batch and --block.
func BatchFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "batch", Usage: "give each process of pipe: `N` items, or fewer if fewer are waiting", DefaultText: "the number with the highest throughput"},
		&urfave.StringFlag{Name: "block", Usage: "give each process of pipe: about `BYTES` of items, such as 64K or 10M, or less if fewer are waiting", DefaultText: "at most 1M"},
	}
}

// batchOptions reads --batch and --block.
func batchOptions(c *urfave.Context) (opts []workers.DefineOption, err error) {
	if err := Positive(c, "batch"); err != nil {
		return nil, err
	}
	if n := c.Int("batch"); n > 0 {
		opts = append(opts, workers.BatchSize(n, n))
	}
	if c.IsSet("block") {
		bytes, err := parseBytes(c.String("block"))
		if err != nil {
			return nil, Usagef("--block %s: %v", c.String("block"), err)
		}
		if opts = append(opts, workers.BatchBytes(bytes)); !c.IsSet("batch") {
			opts = append(opts, workers.BatchSize(math.MaxInt32, math.MaxInt32))
		}
	}
	return opts, nil
}

// parseBytes parses a number of bytes with the suffixes of GNU parallel: K, M and G are powers of
// 1024, k, m and g powers of 1000.
func parseBytes(text string) (int, error) {
	number, unit := text, 1
	if n := len(text) - 1; n > 0 {
		if i := strings.IndexByte("KMG", text[n]); i >= 0 {
			number, unit = text[:n], 1<<(10*(i+1))
		} else if i := strings.IndexByte("kmg", text[n]); i >= 0 {
			number, unit = text[:n], int(math.Pow10(3*(i+1)))
		}
	}
	n, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return 0, errors.New("it is no number of bytes such as 4096, 64K or 10M")
	case n < 1 || n > command.MaxBlock/unit:
		return 0, fmt.Errorf("it must be from 1 to %dM", command.MaxBlock>>20)
	}
	return n * unit, nil
}
