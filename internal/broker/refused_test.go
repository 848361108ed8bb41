package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// An answer is an error in the form in which go-redis returns a reply of Redis.
type answer string

func (a answer) Error() string { return string(a) }

func (answer) RedisError() {}

// Redis 6.2 and KeyDB wrap the error of a command into that of its script; Redis 7 does not.
func TestScriptErrorsOfRedis62(t *testing.T) {
	const around = "ERR Error running script (call to f_9a4f): @user_script:22: @user_script: 22: "
	for seven, six := range map[string]string{
		"NOPERM this user has no permissions to run the 'hset' command":   "The user executing the script can't run this command or subcommand",
		"ERR ACL failure in script: User foo has no permissions":          "The user executing the script can't access at least one of the keys mentioned in the command",
		"WRONGTYPE Operation against a key holding the wrong kind":        "WRONGTYPE Operation against a key holding the wrong kind",
		"NOGROUP No such key 'q' or consumer group 'w'":                   "-NOGROUP No such key 'q' or consumer group 'w'",
		"OOM command not allowed when used memory > 'maxmemory'. script:": "-OOM command not allowed when used memory > 'maxmemory'. ",
		"ERR user_script:1: a mistake of ours":                            "a mistake of ours",
	} {
		a, b := fmt.Errorf("run: %w", answer(seven)), fmt.Errorf("run: %w", answer(around+six))
		if isDenial(answer(seven)) != isDenial(answer(around+six)) || isTransientError(answer(seven)) != isTransientError(answer(around+six)) || IsSick(a) != IsSick(b) {
			t.Errorf("they differ: %q and %q", seven, around+six)
		}
	}
	if err := answer(around + "-NOGROUP No such key"); !IsGone(err) || IsGone(errors.New(string(err))) {
		t.Errorf("%v", err)
	}
	c, err := Open("redis://poor:secret@h", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.withRemedy(answer(around + "The user executing the script can't run this command or subcommand"))
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), `"poor"`) {
		t.Error(err)
	}
}

// The end of the context aborts the second attempt. The error contains the reply to the first one.
func TestErrorKeepsLastAnswer(t *testing.T) {
	c, err := Open("redis://127.0.0.1", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	attempts := 0
	err = c.try(ctx, "write", func(ctx context.Context) error {
		if attempts++; attempts == 1 {
			return answer("READONLY You can't write against a read only replica.")
		}
		cancel()
		return ctx.Err()
	})
	if attempts != 2 || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
}
