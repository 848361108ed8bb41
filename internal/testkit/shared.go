package testkit

import (
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// shared is the one server of a test binary.
var shared struct {
	sync.Mutex
	server *Server
}

// SharedRedis returns the server that all tests of this binary share, each in its own Namespace.
// The first call starts it, and Main ends it, so a package that uses it needs func TestMain(m
// *testing.M) { testkit.Main(m) }.
func SharedRedis(t testing.TB) *Server {
	t.Helper()
	skipQuick(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := launch("", nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.server = s
	}
	return shared.server
}

// Main runs the tests of a package, ends the shared server and fails if goroutines are left. It is
// the body of a TestMain and does not return.
func Main(m *testing.M) {
	// A pool of go-redis that cannot dial notices only once a second that it was closed.
	goleak.VerifyTestMain(tests{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

type tests struct{ m *testing.M }

// Run runs the tests and ends the shared server, before goleak counts goroutines.
func (t tests) Run() int {
	code := t.m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.close()
	}
	return code
}
