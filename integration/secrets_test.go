package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

const secret = "S3CR3T!x"

// No output of any failing call contains the password of the address.
func TestPasswordIsInNoOutput(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--requirepass", "another")
	plain := listen(t, nil)
	closed, err := closedPort()
	if err != nil {
		t.Fatal(err)
	}
	user := "user:" + secret + "@"
	for _, url := range []string{
		"redis://" + user + "no.such.host.invalid:1", fmt.Sprintf("redis://%s127.0.0.1:%d", user, closed),
		"redis://" + user + server.Addr(), "redis://:" + secret + "@" + server.Addr(), "redis://" + user + server.Addr() + "/99",
		"rediss://" + user + server.Addr(), "rediss://" + user + plain, "redis://" + user + server.Addr() + "/x",
		"redis://" + user + server.Addr() + "?ns={}", "redis://" + user + "h1,h2", "http://" + user + "h", user + "h", "redis://" + user + "h:port",
		"redis+sentinel://" + user + server.Addr() + "/m?sentinel_password=" + secret, "redis+sentinel://" + user + server.Addr(),
		"redis+cluster://" + user + server.Addr(), "redis+cluster://" + user + "h?password=" + secret, "unix://" + user + "/no/such.sock",
		"redis://user:%zz" + secret + "@h", "redis://user:/" + secret + "@h", "redis://user:1?" + secret + "@h",
		"redis://user:1#" + secret + "@h", "redis://user:a@b/" + secret + "@h", "redis+cluster://user:/" + secret + "@h",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			inProcess(t, url)
		})
	}
	for _, args := range [][]string{
		{"dqbridge", "queues", "-v", "--redis", "redis://" + user + server.Addr()}, {"dqworker", "-v", "--redis", "rediss://" + user + plain},
		{"dqbridge", "run", "inc", "-v", "--redis", "redis://user:/" + secret + "@h"}, {"dqworker", "-v", "--redis", "redis://" + user + "h:port"},
		{"dqworker", "-v", "--redis", "redis+cluster://" + user + server.Addr()},
	} {
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		if err == nil {
			t.Errorf("%q worked: %s", args, out)
		}
		discreet(t, strings.Join(args, " "), string(out))
	}
	for _, args := range [][]string{{"dqbridge", "--help"}, {"dqbridge", "run", "--help"}, {"dqworker", "--help"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(cmd.Environ(), "DQBRIDGE_REDIS=redis://"+user+server.Addr())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		discreet(t, strings.Join(args, " "), string(out))
	}
}

// inProcess tries all ways of connecting to an address; all fail.
func inProcess(t *testing.T, url string) {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ex, err := executor.New(ctx, url, executor.Logger(logger))
	discreet(t, url, fmt.Sprintf("%v %+v %#v %v %s", err, err, err, ex, &log))
	if w, err := workers.New(url, workers.Logger(logger)); err == nil {
		err = w.Run(ctx)
		discreet(t, url, fmt.Sprintf("%v %v %s", err, w, &log))
	} else {
		discreet(t, url, err.Error())
	}
}

func discreet(t *testing.T, what, output string) {
	t.Helper()
	if strings.Contains(output, "S3CR3T") {
		t.Errorf("%s: the password is told: %s", what, output)
	}
}

// listen accepts connections, with TLS if config is not nil, and sends no reply.
func listen(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = conn.Read(make([]byte, 1)) // a handshake, or its failure
				_, _ = conn.Write([]byte("-ERR no\r\n"))
			}()
		}
	}()
	return l.Addr().String()
}

// certificate returns a self-signed certificate for a host.
func certificate(t *testing.T, host string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// A wrong server gets no password, and the error explains the problem.
func TestTLSFailsClosed(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(time.Hour)
	good, roots := certificate(t, "localhost", later)
	other, otherRoots := certificate(t, "another.host", later)
	old, oldRoots := certificate(t, "localhost", time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		server *tls.Config
		roots  *x509.CertPool
		text   string
	}{
		"self-signed":    {&tls.Config{Certificates: []tls.Certificate{good}}, nil, "unknown authority"},
		"another host":   {&tls.Config{Certificates: []tls.Certificate{other}}, otherRoots, "another.host"},
		"expired":        {&tls.Config{Certificates: []tls.Certificate{old}}, oldRoots, "expired"},
		"TLS 1.1":        {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11}, roots, "protocol version"},
		"no TLS":         {nil, nil, "TLS"},
		"another server": {&tls.Config{Certificates: []tls.Certificate{good}}, roots, "ping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(listen(t, c.server))
			if err != nil {
				t.Fatal(err)
			}
			var opts []executor.Option
			if c.roots != nil {
				opts = append(opts, executor.TLS(&tls.Config{RootCAs: c.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}))
			}
			_, err = executor.New(t.Context(), "rediss://user:"+secret+"@localhost:"+port, opts...)
			if !errors.Is(err, executor.ErrUnreachable) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			}
			discreet(t, name, fmt.Sprint(err))
		})
	}
}
