package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
)

// MaxPartitions is the largest number of partitions of a namespace.
const MaxPartitions = 64

// CheckPartitions returns an error if n is not a valid number of partitions.
func CheckPartitions(n int) error {
	if n < 1 || n > MaxPartitions {
		return fmt.Errorf("a namespace has 1 to %d partitions", MaxPartitions)
	}
	return nil
}

// loadPartitions reads the number of partitions of the namespace. If the namespace is unused, it
// stores the number of this client instead. It returns ErrPartitions if this client was configured
// with another number.
func (c *Client) loadPartitions(ctx context.Context) error {
	want := c.target.partitions
	reply, err := c.run(ctx, "read the number of partitions", scripts.partitions,
		[]string{c.keys.space(), c.keys.registry(RoleWorker), c.keys.registry(RoleExecutor), c.keys.queues()}, want)
	if err != nil {
		return err
	}
	n := int(list{reply}.number(0))
	if want > 0 && n != want {
		return fmt.Errorf("%w: namespace %s of %s is in use with %d, and %d were asked for: leave the number out, "+
			"or choose another namespace", ErrPartitions, c.target.namespace, c, n, want)
	}
	if err := CheckPartitions(n); err != nil {
		return fmt.Errorf("%w: %s says %d: %w", ErrPartitions, c.keys.space(), n, err)
	}
	parts := []*Client{c}
	for i := 1; i < n; i++ {
		parts = append(parts, &Client{
			rdb: c.rdb, target: c.target, keys: keysOf(c.target.namespace, i), log: c.log, replicas: c.replicas, index: i,
			ended: c.ended, opened: c.opened, tracer: c.tracer, meter: c.meter, calls: c.calls,
		})
	}
	for _, part := range parts {
		part.partitions = parts
	}
	return nil
}

// Partitions returns one Client for each partition. They share their connections. The first one is
// the Client on which Connect was called; closing it closes all of them.
func (c *Client) Partitions() []*Client { return c.partitions }

// Index returns the number of this partition.
func (c *Client) Index() int { return c.index }

// PartitionOf returns the partition that the hash of a name selects. That partition stores in which
// partition the queue of this name is.
func (c *Client) PartitionOf(name string) *Client {
	h := fnv.New32a()
	h.Write([]byte(name))
	return c.partitions[int(h.Sum32())%len(c.partitions)]
}

// Place returns the partition for the queue of a name: this one, unless the queue is assigned to
// another one already. A non-negative instead is a partition that turned out not to have the queue;
// its assignment is replaced.
func (c *Client) Place(ctx context.Context, name string, instead int) (*Client, error) {
	if len(c.partitions) == 1 {
		return c, nil
	}
	reply, err := c.run(ctx, "assign queue "+name, scripts.assign, []string{c.PartitionOf(name).keys.places()}, name, c.index, instead)
	if err != nil {
		return nil, err
	}
	return c.partition(int(list{reply}.number(0)))
}

func (c *Client) partition(i int) (*Client, error) {
	if i < 0 || i >= len(c.partitions) {
		return nil, fmt.Errorf("%w: there are %d, and a queue is assigned to number %d", ErrPartitions, len(c.partitions), i)
	}
	return c.partitions[i], nil
}

// Find looks for a queue in all partitions, beginning with this one.
func (c *Client) Find(ctx context.Context, name string) (part *Client, q Queue, err error) {
	for i := range c.partitions {
		part = c.partitions[(c.index+i)%len(c.partitions)]
		if q, err = part.Look(ctx, name); err == nil || !errors.Is(err, ErrQueueNotFound) {
			break
		}
	}
	return part, q, err
}

// unassign deletes the assignment of a queue to this partition.
func (c *Client) unassign(ctx context.Context, name string) error {
	if len(c.partitions) <= 1 {
		return nil
	}
	_, err := c.run(ctx, "remove the assignment of queue "+name, scripts.unassign, []string{c.PartitionOf(name).keys.places()}, name, c.index)
	return err
}
