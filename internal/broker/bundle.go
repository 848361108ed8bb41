package broker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// overtakeAfter is how long a request may take until the commands that wait for it take a second
// connection: a large payload on a slow network must not hold up a heartbeat.
const overtakeAfter = 250 * time.Millisecond

// A bundler lets many goroutines share one connection: while a request is under way, the commands of
// other callers wait, and the next request has all of them. So a caller waits for one round trip
// more at most, and a busy worker saves requests. It is a hook of go-redis.
//
// A command that waits leaves the bundle when its context ends. A bundle that was sent is read to its end.
// If a request takes longer than overtakeAfter, one bundle at a time goes past it on a second connection,
// which is closed afterwards.
type bundler struct {
	send redis.ProcessPipelineHook // sends the commands of a bundle; AddHook sets it

	mu       sync.Mutex
	busy     bool    // a request is under way
	overtook bool    // another one has gone past it
	next     *bundle // for the next request; nil: no command waits
}

// A bundle is the commands of one request.
type bundle struct {
	turn    chan struct{} // has a token when a member is to send the bundle
	called  bool          // it has had that token
	sent    chan struct{} // closed when the replies are there
	members []*member
}

// A member is what one caller sends.
type member struct {
	ctx  context.Context //nolint:containedctx // of the call that waits
	cmds []redis.Cmder
}

// bundleCalls makes a client send the commands of concurrent callers together, those for each node of a
// Cluster by themselves.
func bundleCalls(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(new(bundler)) })
		return
	}
	client.AddHook(new(bundler))
}

func (b *bundler) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook bundles the pipelines of callers. AddHook calls it after ProcessHook, for pipelines
// and then for transactions, which are left alone, and so are the first commands of a connection.
func (b *bundler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.send != nil {
		return next
	}
	b.send = next
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return b.do(&member{ctx, cmds}, func() error { return next(ctx, cmds) }) //nolint:contextcheck // a bundle has that of all members
	}
}

// ProcessHook is called by AddHook, and again for each new connection, whose first commands do not wait.
func (b *bundler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.send != nil {
		return next
	}
	return func(ctx context.Context, cmd redis.Cmder) error {
		return b.do(&member{ctx, []redis.Cmder{cmd}}, func() error { return next(ctx, cmd) }) //nolint:contextcheck // the same
	}
}

// do sends the commands of a member, with alone if no request is under way. It returns their first error.
func (b *bundler) do(m *member, alone func() error) error {
	b.mu.Lock()
	if !b.busy {
		b.busy = true
		b.mu.Unlock()
		defer b.passTurn()
		return alone()
	}
	if b.next == nil {
		b.next = &bundle{turn: make(chan struct{}, 1), sent: make(chan struct{})}
	}
	own := b.next
	own.members = append(own.members, m)
	b.mu.Unlock()
	b.await(m, own)
	for _, cmd := range m.cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

// await waits until the bundle of a member was sent, or sends it.
func (b *bundler) await(m *member, own *bundle) {
	timer := time.NewTimer(overtakeAfter)
	defer timer.Stop()
	late := timer.C
	for {
		select {
		case <-own.sent:
			return
		case <-own.turn:
			b.leave(own)
			b.transmit(own)
			b.passTurn()
			return
		case <-late:
			if b.overtake(own) {
				b.transmit(own)
				b.overtaken()
				return
			}
			late = nil
		case <-m.ctx.Done():
			if !b.withdraw(own, m) {
				<-own.sent
				return
			}
			for _, cmd := range m.cmds {
				cmd.SetErr(m.ctx.Err())
			}
			return
		}
	}
}

// leave makes the bundle one that nobody joins any more.
func (b *bundler) leave(own *bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == own {
		b.next = nil
	}
}

// overtake reports whether the bundle may go past the request that is under way.
func (b *bundler) overtake(own *bundle) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.overtook || b.next != own || own.called {
		return false
	}
	b.overtook, b.next = true, nil
	return true
}

func (b *bundler) overtaken() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.overtook = false
}

// transmit sends a bundle, with the context of all its members.
func (b *bundler) transmit(own *bundle) {
	defer close(own.sent)
	ctx, cancel := own.context()
	defer cancel()
	var commands []redis.Cmder
	for _, m := range own.members {
		commands = append(commands, m.cmds...)
	}
	_ = b.send(ctx, commands) // each command has its error
}

// context returns the context of a bundle. It ends with the last deadline of the members, and does not
// end if a member has none: then the timeout of the client bounds the request.
func (own *bundle) context() (context.Context, context.CancelFunc) {
	var last time.Time
	ctx := context.WithoutCancel(own.members[0].ctx)
	for _, m := range own.members {
		deadline, ok := m.ctx.Deadline()
		if !ok {
			return ctx, func() {}
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(ctx, last)
}

// passTurn lets a member of the next bundle send it.
func (b *bundler) passTurn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.busy = false
		return
	}
	b.next.called = true
	b.next.turn <- struct{}{}
}

// withdraw takes a member out of a bundle. It returns false if the bundle is being sent.
func (b *bundler) withdraw(own *bundle, m *member) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != own {
		return false
	}
	own.members = slices.DeleteFunc(own.members, func(other *member) bool { return other == m })
	if len(own.members) > 0 {
		return true
	}
	b.next = nil
	select {
	case <-own.turn: // no other member is left to send it
		b.busy = false
	default:
	}
	return true
}
