package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/internal/connection"
)

// PrintVersion prints the version of the command.
func PrintVersion(c *urfave.Context) error {
	_, err := fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, connection.Version())
	return AsOutput(err)
}
