package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// Errors of questions.
var (
	errDeclined  = errors.New("nothing was changed: the answer was not y")
	errOtherName = errors.New("nothing was changed: the answer was not the name")
)

// ConfirmFlags returns --yes and --dry-run.
func ConfirmFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "yes", Aliases: []string{"y"}, DisableDefaultText: true, Usage: "do it without a question"},
		&urfave.BoolFlag{Name: "dry-run", DisableDefaultText: true, Usage: "print what would be done, and change nothing"},
	}
}

// Confirm reports whether a verb that acts may do so. effect returns a text such as "delete
// queue photos: 8 items". With --yes, Confirm does not call effect. With --dry-run it prints the
// effect and returns false. Otherwise it asks on the terminal; the error of another answer than yes
// is not a Usage. It returns a Usage if stdin or stderr is no terminal.
func Confirm(c *urfave.Context, effect func(context.Context) (string, error)) (bool, error) {
	return confirm(c, effect, "? [y/N] ", func(line string) error {
		switch strings.ToLower(line) {
		case "y", "yes":
			return nil
		}
		return errDeclined
	})
}

// ConfirmName is Confirm, but the answer that permits the act is the name of its object.
func ConfirmName(c *urfave.Context, name string, effect func(context.Context) (string, error)) (bool, error) {
	return confirm(c, effect, "; type "+Printable(name)+" to do it: ", func(line string) error {
		if line != name {
			return errOtherName
		}
		return nil
	})
}

// confirm asks with the effect and a question behind it, and judges the answer by check.
func confirm(c *urfave.Context, effect func(context.Context) (string, error), question string, check func(line string) error) (bool, error) {
	if c.Bool("yes") && !c.Bool("dry-run") {
		return true, nil
	}
	text, err := effect(c.Context)
	if err != nil {
		return false, err
	}
	text = Printable(text)
	if c.Bool("dry-run") {
		_, err := fmt.Fprintf(c.App.Writer, "would %s\n", text)
		return false, AsOutput(err)
	}
	if !IsTerminal(c.App.Reader) || !IsTerminal(c.App.ErrWriter) {
		return false, Usagef("this would %s; there is no terminal to ask on: give --yes to do it, or --dry-run to print it", text)
	}
	if _, err := fmt.Fprint(c.App.ErrWriter, text, question); err != nil {
		return false, err
	}
	line, err := answer(c.Context, c.App.Reader)
	if err == nil {
		err = check(line)
	}
	return err == nil, err
}

// answer reads a line. If the context ends first, the goroutine that reads ends with the process.
func answer(ctx context.Context, in io.Reader) (string, error) {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(in).ReadString('\n') // without a whole line, the answer is no
		line <- text
	}()
	select {
	case text := <-line:
		return strings.TrimSpace(text), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
