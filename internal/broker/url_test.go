package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, want string }{
		{"redis://h:1", "[h:1] db 0 user  password  ns dq"},
		{"redis://h", "[h:6379] db 0 user  password  ns dq"},
		{"redis://u:secret@h:1/3", "[h:1] db 3 user u password secret ns dq"},
		{"redis://:secret@h/?ns=a.b", "[h:6379] db 0 user  password secret ns a.b"},
		{"redis://[::1]:7", "[[::1]:7] db 0 user  password  ns dq"},
		{"rediss://h:1", "[h:1] db 0 user  password  ns dq tls h"},
		{"unix:///run/r.sock?db=2&ns=x", "[/run/r.sock] db 2 user  password  ns x"},
		{"redis+sentinel://h1:1,h2/m?db=4&sentinel_password=secret", "[h1:1 h2:26379] db 4 user  password  ns dq master m sentinel secret"},
		{"rediss+sentinel://u:secret@h1/m", "[h1:26379] db 0 user u password secret ns dq tls h1 master m"},
		{"redis+cluster://h1:7000,h2,[::1]?ns=c", "[h1:7000 h2:6379 [::1]:6379] db 0 user  password  ns c cluster"},
		{"rediss+cluster://u:secret@h1,h2", "[h1:6379 h2:6379] db 0 user u password secret ns dq tls h1 cluster"},
	} {
		o, ns, label, err := broker.Parsed(c.address)
		got := fmt.Sprintf("%v db %d user %s password %s ns %s", o.Addrs, o.DB, o.Username, o.Password, ns)
		if o.TLSConfig != nil {
			got += " tls " + o.TLSConfig.ServerName
		}
		if o.MasterName != "" {
			got += " master " + o.MasterName
		}
		if o.SentinelPassword != "" {
			got += " sentinel " + o.SentinelPassword
		}
		if o.IsClusterMode {
			got += " cluster"
		}
		if err != nil || got != c.want {
			t.Errorf("%s is %s, %v; want %s", c.address, got, err, c.want)
		}
		if strings.Contains(label, "secret") {
			t.Errorf("the label of %s is %s", c.address, label)
		}
	}
}

func TestInvalidURLErrorsHidePassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "h:6379", "localhost", "http://u:secret@h", "redis://u:secret@h:port", "redis://u:secret@h/db", "redis://u:secret@h/1/2",
		"redis://u:secret@h?nonsense=1", "redis://u:sec%ret@h", "redis://u:secret@h\x7f", "redis://u:secret@h?ns=",
		"redis://u:secret@h?ns={x}", "redis://u:secret@h?ns=" + strings.Repeat("n", 65), "redis+sentinel://u:secret@h1,h2",
		"redis+sentinel://u:secret@h1,,h2/m", "redis+sentinel://u:secret@h1/m?db=x", "redis+sentinel://u:secret@h1/m?x=1",
		"redis+cluster://u:secret@h1?db=1", "redis+cluster://u:secret@h1,h2?sentinel_password=secret", "redis+cluster://",
		"redis://u:secret@h1,h2", "redis://h?password=secret", "unix://u:secret@/sock?nonsense=secret",
		"redis+sentinel://h/m?db=secret", "redis://u:se/cret@h", "redis://u:secret",
	} {
		c, err := broker.Open(address, broker.Options{})
		if err == nil {
			_ = c.Close()
			t.Errorf("%q is an address", address)
			continue
		}
		if !errors.Is(err, broker.ErrInvalidURL) {
			t.Errorf("%q: %v", address, err)
		}
		if text := err.Error(); strings.Contains(text, "u:secret") || strings.Contains(text, ":secret@") || strings.Contains(text, "cret@h") {
			t.Errorf("%q: the error tells the password: %v", address, err)
		}
	}
}

func TestUnescapedPasswordIsExplained(t *testing.T) {
	t.Parallel()
	for _, character := range []string{"/", "?", "#", "%", "[", "]", " ", "\"", "<", "^", "|", "ä", "\x7f", "/@"} {
		for _, form := range []string{"redis://user:sec%sret@h:1", "rediss://:sec%sret@h/1?ns=x", "redis+cluster://sec%sret:x@h1:1,h2:2"} {
			_, _, _, err := broker.Parsed(fmt.Sprintf(form, character))
			if !errors.Is(err, broker.ErrInvalidURL) || !strings.Contains(err.Error(), "%2F for /") || strings.Contains(err.Error(), "sec") {
				t.Errorf(form+": %v", character, err)
			}
		}
	}
	for _, address := range []string{"redis://user:pa-._~!$&'()*+,;=:@ss%2F@h:port", "redis://h:port", "redis://u:p@h?ns=@"} {
		if _, _, _, err := broker.Parsed(address); !errors.Is(err, broker.ErrInvalidURL) || strings.Contains(err.Error(), "escaped") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOptionsOverrideAddress(t *testing.T) {
	t.Parallel()
	dialed := make(chan string, 1)
	c, err := broker.Open("redis://other:secret@h:1/?ns=n", broker.Options{
		Username: "u", Password: "secret", TLS: &tls.Config{ServerName: "name"},
		Dialer: func(_ context.Context, network, addr string) (net.Conn, error) {
			select {
			case dialed <- network + " " + addr:
			default: // one value is enough
			}
			return nil, io.ErrUnexpectedEOF
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o := c.Raw(); o == nil || c.String() != "redis://h:1/" {
		t.Errorf("it is called %s", c)
	}
	if err := c.Connect(t.Context(), 50*time.Millisecond); !errors.Is(err, broker.ErrUnreachable) {
		t.Error(err)
	}
	if where := <-dialed; where != "tcp h:1" {
		t.Errorf("dialed %q", where)
	}
}

func TestPasswordIsNotLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := broker.Open("redis://user:secret@127.0.0.1:1/", broker.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Connect(t.Context(), 200*time.Millisecond)
	if !errors.Is(err, broker.ErrUnreachable) || out.Len() > 0 { // the error explains it
		t.Fatalf("%v, logged %s", err, &out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, other := c.Stages(ctx); other == nil || !strings.Contains(out.String(), "retrying until") {
		t.Fatalf("%v, logged %s", other, &out)
	}
	if text := out.String() + err.Error() + c.String() + fmt.Sprint(c); strings.Contains(text, "secret") || strings.Contains(text, "user") {
		t.Errorf("user or password are told: %s", text)
	}
}

func TestTransientErrors(t *testing.T) {
	t.Parallel()
	wrapped := func(err error) error { return fmt.Errorf("around: %w", err) }
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, io.ErrClosedPipe, os.ErrDeadlineExceeded, wrapped(io.EOF),
		&net.OpError{Op: "dial", Err: errors.New("connection refused")}, &net.DNSError{Err: "no such host"},
		errors.New("LOADING Redis is loading the dataset in memory"), errors.New("READONLY You can't write against a read only replica."),
		errors.New("CLUSTERDOWN The cluster is down"), errors.New("TRYAGAIN Multiple keys request"), errors.New("MASTERDOWN Link with MASTER is down"),
		errors.New("NOSCRIPT No matching script."), errors.New("OOM command not allowed when used memory > 'maxmemory'."),
		errors.New("BUSY Redis is busy running a script."), errors.New("NOREPLICAS Not enough good replicas to write."),
		errors.New("MOVED 3999 127.0.0.1:6381"), errors.New("ASK 3999 127.0.0.1:6381"), errors.New("MISCONF Redis is configured to save"),
		errors.New("redis: connection pool timeout"), errors.New("ERR OOM command not allowed"),
		errors.New("redis: all sentinels specified in configuration are unreachable: dial tcp: connection refused"),
		errors.New("ERR Error running script (call to f_9a4f): @user_script:15: @user_script: 15: -READONLY You can't write against a read only replica. "),
		errors.New("ERR @user_script: 177: -READONLY You can't write against a read only replica."),
		errors.New("@user_script: 70: -OOM command not allowed when used memory > 'maxmemory'."),
		errors.New("ERR Error running script (call to f_9a4f): @user_script:22: @user_script: 22: -MISCONF Redis is configured to save RDB snapshots"),
	} {
		if !broker.IsTransientError(err) {
			t.Errorf("it does not pass: %v", err)
		}
	}
	for _, err := range []error{
		nil, context.Canceled, wrapped(context.Canceled), errors.New("ERR unknown command"), errors.New("WRONGTYPE Operation against a key"),
		errors.New("NOGROUP No such key"), errors.New("NOAUTH Authentication required."), errors.New("WRONGPASS invalid"),
		errors.New("BUSYGROUP Consumer Group name already exists"), errors.New("OOMPH"), errors.New("said READONLY in its midst"),
		errors.New("NOPERM this user has no permissions"), &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")},
		errors.New("redis: all sentinels specified in configuration are unreachable: ERR unknown command 'sentinel'"),
		errors.New("ERR Error running script (call to f_9a4f): @user_script:3: WRONGTYPE Operation against a key"),
		errors.New("ERR Error running script (call to f_9a4f): @user_script:3: @user_script: 3: a field says -OOM and READONLY "),
	} {
		if broker.IsTransientError(err) {
			t.Errorf("it passes: %v", err)
		}
	}
}
