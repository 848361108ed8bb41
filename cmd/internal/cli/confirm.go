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

// errDeclined is the error of a question that was not answered with yes.
var errDeclined = errors.New("nothing was changed: the answer was not y")

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
	if _, err := fmt.Fprintf(c.App.ErrWriter, "%s? [y/N] ", text); err != nil {
		return false, err
	}
	return answer(c.Context, c.App.Reader)
}

// answer reads a line and reports whether it says yes. If the context ends first, the goroutine
// that reads ends with the process.
func answer(ctx context.Context, in io.Reader) (bool, error) {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(in).ReadString('\n') // without a whole line, the answer is no
		line <- text
	}()
	select {
	case text := <-line:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "y", "yes":
			return true, nil
		}
		return false, errDeclined
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
