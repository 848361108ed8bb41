package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// target is a parsed address.
type target struct {
	options    redis.UniversalOptions
	namespace  string
	partitions int    // 0: not given
	label      string // the address without its secrets
	inProcess  bool   // the server is in this process
	shared     bool   // all goroutines share one connection to each server
}

const forms = "use redis://[user:password@]host:port[/db], rediss:// for TLS, unix:///path/to.sock, " +
	"redis+sentinel://host:port,host:port/master or redis+cluster://host:port,host:port"

// escapes explains how to write user and password. It lists all characters instead of the wrong
// one, since an error must not reveal a part of a password.
const escapes = "write %25 for %, %2F for /, %3F for ?, %23 for #, %40 for @, %5B for [, %5D for ], %22 for a quote, %20 for a space, " +
	"and the same way for other characters than letters and digits"

// parseURL reads the forms of an address:
//
//	redis://user:password@host:6379/0
//	rediss://host:6379                     with TLS
//	unix:///run/redis.sock?db=1
//	redis+sentinel://h1:26379,h2:26379/mymaster?db=0
//	redis+cluster://h1:7000,h2:7001        rediss+… for TLS
//
// ?ns=NAME sets the namespace; the default is "dq". ?partitions=N sets the number of its
// partitions.
func parseURL(address string) (target, error) {
	u, err := parseHosts(address)
	if err == nil && misplaced(u) || err != nil && unescaped(address) {
		return target{}, fmt.Errorf("%w: user or password contains a character that has to be escaped: %s", ErrInvalidURL, escapes)
	}
	if err != nil || u.Scheme == "" {
		// The parser's error would repeat the password.
		return target{}, fmt.Errorf("%w: it is no URL: %s", ErrInvalidURL, suggestion(address))
	}
	t := target{namespace: "dq", label: u.Scheme + "://" + u.Host + u.Path}
	query := u.Query()
	if query.Has("ns") {
		t.namespace = query.Get("ns")
		if err := CheckName("namespace", t.namespace); err != nil {
			return target{}, fmt.Errorf("%w: %w", ErrInvalidURL, err)
		}
		query.Del("ns")
	}
	if query.Has("partitions") {
		n, err := strconv.Atoi(query.Get("partitions"))
		if err == nil {
			err = CheckPartitions(n)
		}
		if err != nil {
			return target{}, fmt.Errorf("%w: partitions=%s: %w", ErrInvalidURL, query.Get("partitions"), err)
		}
		t.partitions = n
		query.Del("partitions")
	}
	u.RawQuery = query.Encode()
	switch u.Scheme {
	case "redis", "rediss", "unix":
		err = t.parseSingle(u)
	case "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		err = t.parseMany(u, query)
	default:
		err = fmt.Errorf("scheme %q is not known", u.Scheme)
		if hostPort.MatchString(address) {
			return target{}, fmt.Errorf("%w: it is no URL: %s", ErrInvalidURL, suggestion(address))
		}
	}
	if err != nil {
		return target{}, fmt.Errorf("%w: %s: %w: %s", ErrInvalidURL, t.label, err, forms)
	}
	return t, nil
}

// hostPort matches an address that lacks only its scheme.
var hostPort = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]+)?(/[0-9]+)?$`)

// suggestion suggests how to write an address. It repeats the address only if that is host and port
// alone.
func suggestion(address string) string {
	if hostPort.MatchString(address) {
		return "did you mean redis://" + address + "?"
	}
	return forms
}

// misplaced reports whether a part of the password follows the host, because an unescaped character
// ended the host early. Then no error may repeat the address.
func misplaced(u *url.URL) bool {
	local := u.Scheme == "unix" && u.Host == ""
	return strings.Contains(u.Path, "@") && !local || strings.Contains(u.Fragment, "@") ||
		strings.Contains(u.RawQuery, "@") && u.User == nil
}

// unescaped reports whether user or password contain characters that net/url refuses there.
func unescaped(address string) bool {
	_, rest, _ := strings.Cut(address, "://")
	user := rest[:strings.LastIndexByte(rest, '@')+1]
	_, err := url.PathUnescape(user)
	return err != nil || strings.ContainsFunc(user, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("-._~!$&'()*+,;=:@%", r)
	})
}

// parseHosts parses a URL that may have several hosts, which net/url refuses.
func parseHosts(address string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	begin := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[begin:end]
	if !strings.Contains(hosts, ",") {
		return url.Parse(address)
	}
	u, err := url.Parse(scheme + "://" + rest[:begin] + "hosts" + rest[end:])
	if err == nil {
		u.Host = hosts
	}
	return u, err
}

func (t *target) parseSingle(u *url.URL) error {
	if strings.Contains(u.Host, ",") {
		return errors.New("it names several servers; only Sentinel and Cluster have several")
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		return err
	}
	t.options = redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
	}
	return nil
}

func (t *target) parseMany(u *url.URL, query url.Values) error {
	kind, port := "sentinel", "26379"
	if strings.HasSuffix(u.Scheme, "cluster") {
		kind, port = "cluster", "6379"
	}
	var first string
	for _, host := range strings.Split(u.Host, ",") {
		if host == "" {
			return errors.New("an address is empty")
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		t.options.Addrs = append(t.options.Addrs, host)
		if first == "" {
			first, _, _ = net.SplitHostPort(host)
		}
	}
	t.options.Username = u.User.Username()
	t.options.Password, _ = u.User.Password()
	if strings.HasPrefix(u.Scheme, "rediss") {
		t.options.TLSConfig = &tls.Config{ServerName: first, MinVersion: tls.VersionTLS12}
	}
	if kind == "cluster" {
		t.options.IsClusterMode = true
	} else if t.options.MasterName = strings.Trim(u.Path, "/"); t.options.MasterName == "" {
		return errors.New("the master's name is missing from the path")
	}
	for name := range query {
		value := query.Get(name)
		switch {
		case name == "db" && kind == "sentinel":
			db, err := strconv.Atoi(value)
			if err != nil {
				return fmt.Errorf("db %q is no number", value)
			}
			t.options.DB = db
		case name == "sentinel_password" && kind == "sentinel":
			t.options.SentinelPassword = value
		default:
			return fmt.Errorf("parameter %q is not known for a %s", name, kind)
		}
	}
	return nil
}
