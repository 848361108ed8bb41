package redisd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Sent returns the number of commands that clients send in a time. A script counts as one, while
// INFO counts all commands that it runs.
func (s *Server) Sent(ctx context.Context, during time.Duration) (n float64, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.Client.Options().Addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(during)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprint(conn, "MONITOR\r\n"); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); first = false {
		if !first && !strings.Contains(lines.Text(), " lua] ") {
			n++
		}
	}
	if err := lines.Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("MONITOR ended early: %w", errors.Join(err, ctx.Err()))
	}
	return n, ctx.Err()
}
