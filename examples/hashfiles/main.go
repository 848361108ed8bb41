// Command hashfiles prints the SHA-256 of every file below a directory, in the order of the
// directory walk, on all processors:
//
//	go run ./examples/hashfiles . | sha256sum --check --quiet
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A Digest is a file and its hash. The result contains the path, so that the consumer needs no
// table of paths.
type Digest struct {
	Path string `json:"path"`
	Hash string `json:"hash"`
}

var digest = workers.Define("digest", func(_ context.Context, path string) (Digest, error) {
	file, err := os.Open(path)
	if err != nil {
		return Digest{}, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return Digest{}, err
	}
	return Digest{path, hex.EncodeToString(hash.Sum(nil))}, nil
})

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	failed, err := run(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hashfiles:", err)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

// run returns the number of files that could not be read.
func run(ctx context.Context, dir string) (failed int, err error) {
	ex, err := executor.New(ctx, "", executor.Concurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		return 0, err
	}
	defer ex.Close()
	if err := ex.Register(digest); err != nil {
		return 0, err
	}
	var walked error
	// At most 1000 names are in the queues, for any number of files.
	paths, err := bridge.ScatterSeq(ctx, ex, files(dir, &walked), bridge.MaxInFlight(1000))
	if err != nil {
		return 0, err
	}
	digests, err := executor.Map(ctx, digest, paths)
	if err != nil {
		return 0, err
	}
	for d, err := range bridge.All(ctx, digests) {
		switch {
		case bridge.IsItemError(err):
			fmt.Fprintln(os.Stderr, "hashfiles:", err)
			failed++
		case err != nil:
			return failed, err
		default:
			fmt.Printf("%s  %s\n", d.Hash, d.Path)
		}
	}
	<-paths.Done() // closed after the end of the walk
	return failed, errors.Join(paths.Err(), walked)
}

// files returns the paths of the regular files below a directory. If the walk ends early, failed is
// the reason.
func files(dir string, failed *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		*failed = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && !yield(path) {
				return fs.SkipAll
			}
			return err
		})
	}
}
