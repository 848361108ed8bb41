package testkit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// A Reply is one value in the protocol of Redis. A command is a list of texts.
type Reply struct {
	Kind byte // + status, - error, : number, $ text, * list
	Null bool
	Text string // of all kinds except lists
	List []Reply
}

// String formats a reply for messages and comparisons.
func (r Reply) String() string {
	switch {
	case r.Null:
		return "nil"
	case r.Kind == '*':
		all := make([]string, len(r.List))
		for i, v := range r.List {
			all[i] = v.String()
		}
		return "[" + strings.Join(all, " ") + "]"
	case r.Kind == '$':
		return strconv.Quote(r.Text)
	}
	return string(r.Kind) + r.Text
}

// texts returns the texts of a list.
func (r Reply) texts() []string {
	all := make([]string, len(r.List))
	for i, v := range r.List {
		all[i] = v.Text
	}
	return all
}

// readReply reads a value. It returns io.ErrUnexpectedEOF or io.EOF if the server breaks off.
func readReply(r *bufio.Reader) (v Reply, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return v, err
	}
	if line = strings.TrimSuffix(line, "\r\n"); line == "" {
		return v, fmt.Errorf("a line that is empty")
	}
	v.Kind, v.Text = line[0], line[1:]
	if v.Kind != '$' && v.Kind != '*' {
		return v, nil
	}
	n, err := strconv.Atoi(v.Text)
	if err != nil {
		return v, fmt.Errorf("%q is no length: %w", line, err)
	}
	if v.Text = ""; n < 0 {
		v.Null = true
		return v, nil
	}
	if v.Kind == '$' {
		text := make([]byte, n+2)
		_, err = io.ReadFull(r, text)
		v.Text = string(text[:n])
		return v, err
	}
	v.List = make([]Reply, n)
	for i := range v.List {
		if v.List[i], err = readReply(r); err != nil {
			return v, err
		}
	}
	return v, nil
}

func appendReply(b []byte, v Reply) []byte {
	switch {
	case v.Null:
		return fmt.Appendf(b, "%c-1\r\n", v.Kind)
	case v.Kind == '*':
		b = fmt.Appendf(b, "*%d\r\n", len(v.List))
		for _, one := range v.List {
			b = appendReply(b, one)
		}
		return b
	case v.Kind == '$':
		return fmt.Appendf(b, "$%d\r\n%s\r\n", len(v.Text), v.Text)
	}
	return fmt.Appendf(b, "%c%s\r\n", v.Kind, v.Text)
}

func command(args ...string) Reply {
	v := Reply{Kind: '*'}
	for _, arg := range args {
		v.List = append(v.List, Reply{Kind: '$', Text: arg})
	}
	return v
}

// A wire is a connection to a server that sends commands and reads their replies in turn.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func newWire(conn net.Conn) *wire { return &wire{conn, bufio.NewReader(conn)} }

// do sends commands in one write and returns the reply to each.
func (w *wire) do(commands ...Reply) ([]Reply, error) {
	var out []byte
	for _, c := range commands {
		out = appendReply(out, c)
	}
	if _, err := w.conn.Write(out); err != nil {
		return nil, err
	}
	replies := make([]Reply, len(commands))
	for i := range replies {
		var err error
		if replies[i], err = readReply(w.in); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// sorted orders a list that a server returns unordered: groups of n values, from the index from on.
func (r Reply) sorted(from, n int) Reply {
	if len(r.List) < from {
		return r
	}
	groups := slices.Collect(slices.Chunk(r.List[from:], n))
	slices.SortFunc(groups, func(a, b []Reply) int {
		return strings.Compare(Reply{Kind: '*', List: a}.String(), Reply{Kind: '*', List: b}.String())
	})
	r.List = append(slices.Clone(r.List[:from]), slices.Concat(groups...)...)
	return r
}
