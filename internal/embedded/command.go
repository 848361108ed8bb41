package embedded

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// A command is an entry of the table of commands.
type command struct {
	args int // number of arguments with the name; negative: the minimum
	run  func(*call)
}

// A call is one running command. Its arguments are valid only while it runs.
type call struct {
	s    *Server
	conn *conn // nil in a script
	name string
	args []string // without the name
	out  reply
}

const (
	errSyntax  = "ERR syntax error"
	errInteger = "ERR value is not an integer or out of range"
	errFloat   = "ERR value is not a valid float"
)

// commands returns the table of all commands, with their names in upper and in lower case.
func commands() map[string]command {
	all := map[string]command{
		"PING": {-1, (*call).ping}, "HELLO": {-1, (*call).hello}, "SELECT": {2, (*call).choose},
		"TIME": {1, (*call).time}, "WAIT": {3, (*call).wait},
		"FLUSHALL": {-1, (*call).flush}, "FLUSHDB": {-1, (*call).flush}, "DBSIZE": {1, (*call).size},
	}
	for _, group := range []map[string]command{
		keyCommands(), stringCommands(), hashCommands(), setCommands(), zsetCommands(), streamCommands(), groupCommands(), scriptCommands(),
	} {
		maps.Copy(all, group)
	}
	for name, command := range maps.Clone(all) {
		all[strings.ToLower(name)] = command
	}
	return all
}

// do runs a command of a client.
func (s *Server) do(c *conn, args []string) {
	s.tick()
	s.work.commands++
	c.answer(func(out *answers) { s.run(c, args, out) })
}

// run runs a command of a client, or of a script if c is nil.
func (s *Server) run(c *conn, args []string, out reply) {
	name := args[0]
	found, known := s.commands[name]
	if !known {
		name = strings.ToUpper(name)
		found, known = s.commands[name]
	}
	switch {
	case !known:
		out.fail(fmt.Sprintf("ERR unknown command '%.128s', the embedded broker does not have it", args[0]))
	case found.args >= 0 && len(args) != found.args, len(args) < -found.args:
		out.fail(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(name)))
	default:
		found.run(&call{s: s, conn: c, name: name, args: args[1:], out: out})
	}
}

// is compares an argument with a word, ignoring case.
func is(arg, word string) bool { return strings.EqualFold(arg, word) }

// number parses an integer. If ok is false, it has replied with an error.
func (c *call) number(arg string) (n int64, ok bool) {
	n, ok = parseInt(arg)
	if !ok {
		c.out.fail(errInteger)
	}
	return n, ok
}

// parseInt parses an integer in its canonical form: no plus sign and no leading zeros.
func parseInt(text string) (n int64, ok bool) {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || digits[0] < '1' && text != "0" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func (c *call) ok() { c.out.status("OK") }

// flag replies with 1 or 0.
func (c *call) flag(yes bool) { //nolint:revive // it is the reply
	if yes {
		c.out.integer(1)
	} else {
		c.out.integer(0)
	}
}

// count replies with the number of arguments for which is returns true.
func (c *call) count(args []string, is func(arg string) bool) {
	n := 0
	for _, arg := range args {
		if is(arg) {
			n++
		}
	}
	c.out.integer(int64(n))
}

func (c *call) texts(texts []string) {
	c.out.array(len(texts))
	for _, text := range texts {
		c.out.bulk(text)
	}
}

func (c *call) ping() {
	if len(c.args) > 0 {
		c.out.bulk(c.args[0])
		return
	}
	c.out.status("PONG")
}

// hello accepts protocol 2 only, without a password.
func (c *call) hello() {
	if len(c.args) > 0 && c.args[0] != "2" {
		c.out.fail("NOPROTO unsupported protocol version")
		return
	}
	c.out.array(6)
	for _, text := range []string{"server", "dqbridge embedded", "mode", "standalone", "proto"} {
		c.out.bulk(text)
	}
	c.out.integer(2)
}

func (c *call) choose() {
	if c.args[0] != "0" {
		c.out.fail("ERR DB index is out of range")
		return
	}
	c.ok()
}

func (c *call) time() {
	us := c.s.now.UnixMicro()
	c.texts([]string{strconv.FormatInt(us/1e6, 10), strconv.FormatInt(us%1e6, 10)})
}

// wait replies with 0: there are no replicas.
func (c *call) wait() { c.out.integer(0) }

func (c *call) flush() {
	for key := range c.s.keys {
		c.s.remove(key)
	}
	c.ok()
}

func (c *call) size() { c.out.integer(int64(len(c.s.keys))) }
