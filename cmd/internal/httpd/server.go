package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of a request and of the end of a server.
const (
	headerLimit = 5 * time.Second // to send a header
	idleLimit   = 2 * time.Minute // of a connection between two requests
	headerBytes = 64 << 10        // of a header
	closeLimit  = 2 * time.Second // for running requests at the end
)

// A Server serves a handler.
type Server struct {
	http     *http.Server
	listener net.Listener
	end      context.CancelFunc // ends the contexts of requests
	served   chan error
}

// Start listens at an address, HOST:PORT or only a port, and serves a handler until Close. Without a
// host it listens on the loopback interface. The contexts of requests end with Close, or with ctx.
func Start(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (*Server, error) {
	address, err := withHost(address)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{listener: listener, end: end, served: make(chan error, 1), http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: headerBytes,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// Addr returns the address at which the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server and waits for running requests, whose contexts it ends. It closes the
// connections of those that take too long.
func (s *Server) Close() error {
	s.end()
	limit, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err := s.http.Shutdown(limit)
	if err != nil {
		err = s.http.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// withHost adds the loopback interface to an address without a host.
func withHost(address string) (string, error) {
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	host, port, err := net.SplitHostPort(address)
	if n, failed := strconv.ParseUint(port, 10, 16); err != nil || failed != nil {
		return "", fmt.Errorf("%q is no address: give HOST:PORT, or a port on this machine", address)
	} else if host == "" {
		return net.JoinHostPort("127.0.0.1", strconv.FormatUint(n, 10)), nil
	}
	return address, nil
}

// IsLocal reports whether only this machine can reach a server that Start starts at an address.
func IsLocal(address string) bool {
	address, err := withHost(address)
	return err == nil && IsLoopback(address)
}

// IsLoopback reports whether only this machine can reach an address HOST:PORT.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
