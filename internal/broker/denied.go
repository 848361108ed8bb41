package broker

import (
	"errors"
	"fmt"
	"strings"
)

// ErrDenied says that the Redis user may not do what was tried.
var ErrDenied = errors.New("the Redis user may not do this (docs/security.md has the rules, ACL LOG the command)")

// denied names the user, where an error says that it lacks a permission.
func (c *Client) denied(err error) error {
	if !isDenial(err) {
		return err
	}
	user := c.target.options.Username
	if user == "" {
		user = "default"
	}
	return fmt.Errorf("%w: user %q: %w", ErrDenied, user, err)
}

// isDenial knows what Redis 7.0 and later say of a command, and of one that a
// script runs.
func isDenial(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "NOPERM ") ||
		strings.HasPrefix(text, "ERR The user executing the script") ||
		strings.HasPrefix(text, "ERR ACL failure in script")
}
