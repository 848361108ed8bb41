package broker

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrDenied says that the Redis user lacks a permission.
var ErrDenied = errors.New("the Redis user may not do this (docs/security.md has the rules, ACL LOG the command)")

// scriptErrorPrefix matches the text that Redis 6.2 and KeyDB put before the error of a command
// inside a script. Redis 7 appends the position in the script instead.
var scriptErrorPrefix = regexp.MustCompile(`^(ERR )?(Error running script \(call to \w+\): )?(@user_script: ?\d+: )+-?`)

// answerText returns the text of a Redis error without that wrapping and without "ERR ".
func answerText(err error) string {
	text := err.Error()
	if strings.Contains(text, "@user_script") {
		text = scriptErrorPrefix.ReplaceAllLiteralString(text, "")
	}
	return strings.TrimPrefix(text, "ERR ")
}

// hasCode reports whether err is, or wraps, a reply of Redis that begins with code, also if a
// command inside a script caused it.
func hasCode(err error, code string) bool {
	var answer redis.Error
	return errors.As(err, &answer) && strings.HasPrefix(answerText(answer), code)
}

// isMoved reports whether the server is a Cluster node that does not own the key.
func isMoved(err error) bool {
	text := answerText(err)
	return strings.HasPrefix(text, "MOVED ") || strings.HasPrefix(text, "ASK ")
}

// isDenial reports whether the Redis user lacks a permission for a command, or for a command inside
// a script.
func isDenial(err error) bool {
	text := answerText(err)
	return strings.HasPrefix(text, "NOPERM ") ||
		strings.HasPrefix(text, "The user executing the script") ||
		strings.HasPrefix(text, "ACL failure in script")
}

// remedies maps texts of errors to their cause and a remedy. The first entry whose text the error
// contains applies.
var remedies = []struct{ text, remedy string }{
	{"MOVED ", "the server is a node of a Redis Cluster: use redis+cluster://host:port"},
	{"ASK ", "the server is a node of a Redis Cluster: use redis+cluster://host:port"},
	{"cluster support disabled", "the server is no node of a Redis Cluster: use redis://host:port"},
	{"SELECT is not allowed", "a Redis Cluster has only the database 0: leave the number out of the address"},
	{"unknown command 'sentinel'", "the server is no Sentinel: use redis://host:port"},
	{"undeclared key", "the server refuses scripts that compute names of keys: docs/deployment.md lists the servers that work"},
	{"NOAUTH", "the server wants a password: give it in the address, redis://user:password@host:port"},
	{"WRONGPASS", "user or password is wrong; in an address, special characters are escaped, such as %25 for %"},
	{"redis: invalid reply", "the server is not Redis"},
	{"redis: can't parse", "the server is not Redis"},
	{"first record does not look like a TLS handshake", "the server has no TLS: use redis:// if that is meant"},
}

// withRemedy adds a remedy to a permanent error, or the name of the user that lacks a permission.
func (c *Client) withRemedy(err error) error {
	if isDenial(err) {
		user := c.target.options.Username
		if user == "" {
			user = "default"
		}
		return fmt.Errorf("%w: user %q: %w", ErrDenied, user, err)
	}
	for _, r := range remedies {
		if strings.Contains(err.Error(), r.text) {
			return fmt.Errorf("%s (%w)", r.remedy, err)
		}
	}
	return err
}
