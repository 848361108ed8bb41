package testkit

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// A recorder is a test whose errors another test looks at.
type recorder struct {
	testing.TB
	text string
}

func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

// A server that nobody has ended fails its test, with its exit status.
func TestServerThatEndsByItselfFailsItsTest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *Server){
		"by itself": func(s *Server) {
			if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-s.proc.exited
		},
		"killed by its test": (*Server).Kill,
		"at the end":         func(*Server) {},
	} {
		s, err := launch("", nil)
		if err != nil {
			t.Fatal(err)
		}
		told := &recorder{TB: t}
		s.t = told
		end(s)
		s.close()
		if failed := strings.Contains(told.text, "ended by itself: signal: killed"); failed != (name == "by itself") {
			t.Errorf("%s: %q", name, told.text)
		}
	}
}
