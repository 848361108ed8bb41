package broker

import (
	"context"
	_ "embed" // for the rules
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// rules are the ACL rules of docs/security.md, a line for each user.
//
//go:embed rights.acl
var rules string

// A Denial is a command that a user needs for its role and may not call.
type Denial struct {
	User    string
	Command string // with "|" before a subcommand
	Key     string // pattern of the keys; "" for a command without one
}

var (
	ruleForm = regexp.MustCompile(`(?m)^ACL SETUSER (\S+) .*$`)
	partForm = regexp.MustCompile(`\(([^)]*)\)`)
)

// operatorRole has the rights of all others.
const operatorRole = "dq-operator"

// need returns the commands of each user of the rules, with the keys of a partition.
func (k keys) need() map[string][]Denial {
	all := map[string][]Denial{}
	for _, line := range ruleForm.FindAllStringSubmatch(rules, -1) {
		user := line[1]
		need := []Denial{{user, "ping", ""}, {user, "time", ""}, {user, "evalsha", k.prefix + "*"}}
		for _, part := range partForm.FindAllStringSubmatch(line[0], -1) {
			var commands, patterns []string
			for word := range strings.FieldsSeq(part[1]) {
				if command, ok := strings.CutPrefix(word, "+"); ok {
					commands = append(commands, command)
				} else {
					patterns = append(patterns, strings.Replace(strings.TrimLeft(word, "%R~"), "{dq:0}:", k.prefix, 1))
				}
			}
			for _, command := range commands {
				for _, pattern := range patterns {
					need = append(need, Denial{user, command, pattern})
				}
			}
		}
		all[user] = need
	}
	for user, need := range all {
		if user == operatorRole {
			continue
		}
		for _, d := range need {
			all[operatorRole] = append(all[operatorRole], Denial{operatorRole, d.Command, d.Key})
		}
	}
	return all
}

// behind has the number of arguments behind the key of a command, if there are any.
var behind = map[string]int{
	"hdel": 1, "hexists": 1, "hget": 1, "hincrby": 2, "hmget": 1, "hscan": 1, "hset": 2, "hsetnx": 2, "pexpire": 1, "sadd": 1, "set": 1, "srem": 1,
	"xack": 2, "xadd": 3, "xautoclaim": 4, "xclaim": 4, "xdel": 1, "xgroup|create": 2, "xgroup|delconsumer": 2, "xinfo|consumers": 1, "xpending": 1,
	"xrange": 2, "xrevrange": 2, "xtrim": 2, "zadd": 2, "zrange": 2, "zrangebyscore": 2, "zrem": 1, "zremrangebyrank": 2, "zremrangebyscore": 2, "zrevrangebyscore": 2,
	"zscore": 1,
}

// call returns an example of the command.
func (d Denial) call() []any {
	key := strings.ReplaceAll(d.Key, "*", "x")
	switch d.Command {
	case "ping", "time":
		return []any{d.Command}
	case "evalsha":
		return []any{d.Command, "0", 1, key}
	case "xread":
		return []any{d.Command, "STREAMS", key, "0"}
	case "xreadgroup":
		return []any{d.Command, "GROUP", "w", "c", "STREAMS", key, ">"}
	case "xinfo":
		return []any{d.Command, "STREAM", key}
	}
	var args []any
	for word := range strings.SplitSeq(d.Command, "|") {
		args = append(args, word)
	}
	args = append(args, key)
	for range behind[d.Command] {
		args = append(args, "x")
	}
	return args
}

// Denials checks the rights of the users of docs/security.md by ACL DRYRUN. It returns the users that
// the server has, and what these may not do. ErrDenied: the Redis user may not call ACL DRYRUN.
func (c *Client) Denials(ctx context.Context) (users []string, found []Denial, err error) {
	node, err := c.node(ctx)
	if err != nil {
		return nil, nil, err
	}
	for user, need := range c.keys.need() {
		err := c.try(ctx, "check the rights of "+user, func(ctx context.Context) error {
			return node.Do(ctx, "acl", "dryrun", user, "ping").Err()
		})
		if err != nil && strings.Contains(err.Error(), "User '"+user+"' not found") {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		replies := make([]*redis.Cmd, len(need))
		_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, d := range need {
				replies[i] = p.Do(ctx, append([]any{"acl", "dryrun", user}, d.call()...)...)
			}
			return nil
		})
		if err != nil {
			return nil, nil, fmt.Errorf("check the rights of %s: %w", user, err)
		}
		users = append(users, user)
		for i, reply := range replies {
			if reply.Val() != "OK" {
				found = append(found, need[i])
			}
		}
	}
	slices.Sort(users)
	return users, found, nil
}
