package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Rights are the commands that the users of docs/security.md may call.
type Rights struct {
	Users  []string            // that the server has
	Denied map[string][]string // commands that a user needs and may not call, with their keys
	Err    error               // why this is not known, nil if it is
}

// answerTime is the time in which the server has to answer.
const answerTime = 5 * time.Second

// ReadRights asks the server for the rights of the users. It sends about two thousand commands that
// only test, in a few round trips.
func ReadRights(ctx context.Context, redisURL string) *Rights {
	c, err := connect(ctx, redisURL)
	if err != nil {
		return &Rights{Err: err}
	}
	users, denials, err := c.Denials(ctx)
	r := &Rights{Users: users, Denied: map[string][]string{}, Err: errors.Join(err, c.Close())}
	for _, d := range denials {
		r.Denied[d.User] = append(r.Denied[d.User], d.Command+" "+d.Key)
	}
	return r
}

// connect connects to a server. The caller closes the connection.
func connect(ctx context.Context, redisURL string) (*broker.Client, error) {
	c, err := broker.Open(redisURL, broker.Options{})
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx, answerTime); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// rights compares the users of docs/security.md with what their roles need.
func rights(f Facts, report reporter) {
	switch r := f.Rights; {
	case r == nil:
		report(Skipped, "", "dqbridge doctor", "the rights of Redis users were not examined")
	case errors.Is(r.Err, executor.ErrDenied):
		report(Skipped, "", "ACL SETUSER USER +acl|dryrun", "the Redis user may not call ACL DRYRUN")
	case r.Err != nil:
		report(Skipped, "", "", "%v", r.Err)
	default:
		for _, user := range r.Users {
			if denied := r.Denied[user]; len(denied) > 0 {
				slices.Sort(denied)
				report(Warn, user, "give it the rules of docs/security.md",
					"the Redis user %s lacks %s for its role: %s", user, plural(len(denied), "right"), some(denied))
			}
		}
	}
}

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
