package builtin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

func sha256file(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", sumError(path, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	hash := sha256.New()
	if _, err := io.Copy(hash, until(ctx, file)); err != nil {
		return "", sumError(path, err)
	}
	name, mark := escaper.Replace(path), ""
	if name != path {
		mark = `\`
	}
	return fmt.Sprintf("%s%x  %s", mark, hash.Sum(nil), name), nil
}

// sumError returns the error of a file in the words of sha256sum, whose reasons begin with a
// capital.
func sumError(path string, err error) error {
	about, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	reason := about.Err.Error()
	return fmt.Errorf("sha256sum: %s: %s%s", path, strings.ToUpper(reason[:1]), reason[1:])
}

// until returns a reader that fails after the end of ctx.
func until(ctx context.Context, from io.Reader) io.Reader {
	return readFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return from.Read(b)
	})
}

type readFunc func([]byte) (int, error)

// Read calls f.
func (f readFunc) Read(b []byte) (int, error) { return f(b) }
