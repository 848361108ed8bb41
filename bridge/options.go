package bridge

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	defaultBuffer = 1024 // items
	defaultSlices = 4
	// defaultWindow bounds the results that an ordered gather may have to hold while
	// it waits for one slow item.
	defaultWindow = 1 << 18
)

// options are the options of Scatter or of Gather.
type options struct {
	source   producer.Options // of Scatter
	batch    int
	linger   time.Duration
	codec    codec.Codec
	receiver consumer.ReceiverOptions // of Gather
	buffer   int                      // -1: not given

	keepInput bool // of Gather
}

// A ScatterOption is an option of Scatter, ScatterSeq, ScatterSlices and NewProducer.
type ScatterOption interface{ applyScatter(*options) error }

// A GatherOption is an option of Gather, GatherSlices and All.
type GatherOption interface{ applyGather(*options) error }

type scatterOption func(*options) error

func (o scatterOption) applyScatter(s *options) error { return o(s) }

type gatherOption func(*options) error

func (o gatherOption) applyGather(s *options) error { return o(s) }

func scatterOptions(call string, opts []ScatterOption) (options, error) {
	o := options{source: producer.Options{Window: broker.Window{Items: defaultWindow, OnceGathered: true}}}
	for _, opt := range opts {
		if opt == nil {
			return o, fmt.Errorf("%s: %w", call, errNoOption)
		}
		if err := opt.applyScatter(&o); err != nil {
			return o, err
		}
	}
	if o.source.Source != "" && o.source.Queue == "" {
		return o, errSourceOfNoName
	}
	if o.source.Private != "" {
		if o.source.Queue == "" || o.source.Source != "" {
			return o, errPrivate
		}
		o.source.Window.OnceGathered = false // the queue of the results has no bound
	}
	if o.source.Expire > 0 && o.source.Queue == "" {
		return o, errExpiryOfNoName
	}
	return o, nil
}

// MaxSize bounds the number of items that wait in the queue that Scatter makes. While the queue is
// full, the producer waits, see also Overflow. The default is no bound. A named queue keeps the
// bound with which it was made. items must be at least 1.
func MaxSize(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxSize(%d): it must be at least 1", items)
		}
		o.source.Bounds.Max = int64(items)
		return nil
	})
}

// MaxBytes bounds the encoded bytes that wait in the queue that Scatter makes, like MaxSize. The
// default is 64 MiB. An empty queue takes one item of any size. bytes must be at least 1.
func MaxBytes(bytes int64) ScatterOption {
	return scatterOption(func(o *options) error {
		if bytes < 1 {
			return fmt.Errorf("bridge: MaxBytes(%d): it must be at least 1", bytes)
		}
		o.source.Bounds.MaxBytes = bytes
		return nil
	})
}

// MaxInFlight bounds the items that Scatter has stored and Gather has not delivered. The default is
// 262144, from the start of a gather on. From then on at most 256 MiB of encoded items are in
// flight too, unless an overflow policy drops items. items must be at least 1.
func MaxInFlight(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxInFlight(%d): it must be at least 1", items)
		}
		o.source.Window = broker.Window{Items: int64(items)}
		return nil
	})
}

// MaxBatch bounds the items that travel together. Speed does not need it: by default, a batch has
// as many items as are a few milliseconds of work, at most 8192. It does not bound the calls of a
// function from workers.DefineBatch, which take several batches; workers.BatchSize does. items must
// be at least 1.
func MaxBatch(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxBatch(%d): it must be at least 1", items)
		}
		o.batch = items
		return nil
	})
}

// Linger lets the first item of a batch wait up to d for more items, unless a full batch collects
// before. It saves commands if items arrive one at a time, and delays them by up to d. By default,
// a batch is sent as soon as the send before it has returned. d must be above 0.
func Linger(d time.Duration) ScatterOption {
	return scatterOption(func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("bridge: Linger(%v): it must be above 0", d)
		}
		o.linger = d
		return nil
	})
}

// Name makes Scatter feed a named queue. The queue stays until it is deleted, several scatters may
// feed it, and other processes reach it with executor.Open.
func Name(queue string) ScatterOption {
	return scatterOption(func(o *options) error {
		o.source.Queue = queue
		return nil
	})
}

// Expire lets a named queue expire: if no process uses its flow for d, the queue is deleted with the
// items that wait in it, and with the stages and queues behind it. A flow is in use while a scatter
// or a producer of a live process adds to it, while a gather of a live process reads it, and while a
// worker runs an item of it. A process counts as live until its lease has ended, see
// executor.Lease. Items that wait for a worker, a retry or a gather keep nothing. The deletion may
// come up to half of d later; after an outage of Redis the time begins anew.
//
// The time holds for the queue from then on, also if the queue is there already: the last call with
// Expire decides, and calls without it change nothing. A flow that a merge joins with another one
// does not expire. d must be at least the lease. Expire needs Name. It costs no command for an item.
func Expire(d time.Duration) ScatterOption {
	return scatterOption(func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("bridge: Expire(%v): it must be above 0", d)
		}
		o.source.Expire = d
		return nil
	})
}

// Private keeps the results of this scatter apart from those of others: results that would come to
// the named queue last go to a queue of this scatter instead, which only its process gathers, see
// ResultsOf. So any number of processes feed one named pipeline, and each gets the results of its own
// items, in order and once each.
//
// The stages of the pipeline are made before, and last is its only end: Scatter returns an error if
// the queue that Name gives leads to another end too, or if a stage reads last; executor.ErrQueueNotFound
// if there is no queue last. MaxInFlight bounds the items between this scatter and its gather from the
// first item on, so a process that does not take its results stops itself and no other one. The
// results are dropped once no call of this process can gather them, as the flow of a queue without a
// name is, and ten minutes after the process has died. Items that are stored already still run.
//
// Private needs Name and cannot be with DurableSource. One scatter for many items is cheaper than one
// for each: a source costs about as much as a queue.
func Private(last string) ScatterOption {
	return scatterOption(func(o *options) error {
		if last == "" {
			return errors.New("bridge: Private: it must not be empty")
		}
		o.source.Private = last
		return nil
	})
}

var errPrivate = errors.New("bridge: Private needs Name and cannot be with DurableSource: its results go with the process")

// ResultsOf lets a gather of the last queue of a pipeline read the results of one scatter, which has
// the option Private. q is the queue that this scatter, or Queue of its Producer, returned. The stream
// ends when the scatter has ended and all of its results are delivered. Other gathers of the last
// queue do not see them.
func ResultsOf[T any](q *executor.Queue[T]) GatherOption {
	return gatherOption(func(o *options) error {
		if o.receiver.Private = q.Internal(handle.Key{}).Private(); o.receiver.Private == "" {
			return errors.New("bridge: ResultsOf: the queue is not one that a scatter with Private returned")
		}
		return nil
	})
}

var errExpiryOfNoName = errors.New("bridge: Expire needs Name: a queue without a name goes with its process")

// Seal lets no other source join a named queue after this one, so that the stream ends with it. A
// queue without a name is always sealed.
func Seal() ScatterOption {
	return scatterOption(func(o *options) error {
		o.source.Seal = true
		return nil
	})
}

// DurableSource makes a scatter into a named queue durable. If its process dies, the stream stays
// open, and the next scatter with the same source continues it. Stored of the queue that Scatter
// returns is the number of items that are stored: send the items behind them. A scatter of the
// source that is still alive ends with executor.ErrFenced. Once the input of a source was closed,
// Scatter returns an *executor.EndedError. It needs Name.
func DurableSource(source string) ScatterOption {
	return scatterOption(func(o *options) error {
		if source == "" {
			return errors.New("bridge: DurableSource: it must not be empty")
		}
		o.source.Source = source
		return nil
	})
}

var errSourceOfNoName = errors.New("bridge: DurableSource needs Name: a queue without a name goes with its process")

// An OverflowPolicy names what Scatter does with items for which there is no room, since MaxSize,
// MaxBytes or MaxInFlight is reached. See Overflow. It is a string.
type OverflowPolicy = broker.OverflowPolicy

// OverflowBlock waits: Scatter does not read its channel until there is room. It is the default.
const OverflowBlock OverflowPolicy = broker.OverflowBlock

// OverflowDropNewest drops new items while there is no room.
const OverflowDropNewest OverflowPolicy = broker.OverflowDropNewest

// OverflowDropOldest drops items of the queue that no worker has read yet, the oldest first, to
// make room for new ones. If all were read, it drops new items.
const OverflowDropOldest OverflowPolicy = broker.OverflowDropOldest

// OverflowFail aborts the scatter as if its context had ended: behind the stored items, the stream
// ends with executor.ErrTruncated, and Err of the queue returns executor.ErrFull.
const OverflowFail OverflowPolicy = broker.OverflowFail

// Overflow sets the policy for items for which there is no room. The default is OverflowBlock. A
// dropped item keeps its place in the stream: Gather has an *executor.ItemError there, which is an
// executor.ErrDropped, and executor.Queue.Dropped counts it. A policy drops whole batches.
func Overflow(p OverflowPolicy) ScatterOption {
	return scatterOption(func(o *options) error {
		switch p {
		case OverflowBlock, OverflowDropNewest, OverflowDropOldest, OverflowFail:
			o.source.Overflow = p
			return nil
		}
		return fmt.Errorf("bridge: Overflow(%q): it must be one of %s, %s, %s and %s", p, OverflowBlock, OverflowDropNewest, OverflowDropOldest, OverflowFail)
	})
}

// KeepInput adds the input of an item to its failure, if both Scatter and Gather have the option:
// executor.ItemError.Input has the item as it was scattered, whichever stage failed.
// executor.InputAs decodes it.
//
// Redis holds each input until its result is delivered. That takes about twice the memory of the
// items in flight, which MaxInFlight bounds, before the first gather only if it is given. A batch
// with failures costs the gather one more round trip. Once a source (DurableSource) keeps its
// inputs, its successors do so too.
func KeepInput() InputOption { return keepInput{} }

// An InputOption is an option of both Scatter and Gather.
type InputOption interface {
	ScatterOption
	GatherOption
}

type keepInput struct{}

func (keepInput) applyScatter(o *options) error { o.source.KeepInputs = true; return nil }

func (keepInput) applyGather(o *options) error { o.keepInput = true; return nil }

// WithCodec sets the codec of the items, such as workers.MsgPack() or one of the user's own. The
// default is raw for strings and []byte, and JSON for all other types.
func WithCodec(c workers.Codec) ScatterOption {
	return scatterOption(func(o *options) error {
		o.codec = c
		return nil
	})
}

// Unordered lets Gather deliver results as they arrive. By default, a result waits until all
// results of its source before it are delivered.
func Unordered() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Unordered = true
		return nil
	})
}

// ManualAck lets a result count as delivered when its Ack is called, and not when the program takes
// it from the channel. Results may be acknowledged in any order, many at once with AckAll. The next
// gather of a named queue gets the results that are not acknowledged. The channel is closed when
// all are.
//
// At most MaxUnacked results are delivered and not acknowledged. For MaxInFlight, an item is in
// flight until it and all before it are acknowledged.
func ManualAck() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Manual = true
		return nil
	})
}

// MaxUnacked bounds the results that are delivered and not acknowledged, with those in the
// channel's buffer and those that wait after Nack. At the bound, Gather waits for an Ack. n is from
// 1 to 16384, which is the default. It needs ManualAck.
func MaxUnacked(n int) GatherOption {
	return gatherOption(func(o *options) error {
		if n < 1 || n > consumer.MaxManual {
			return fmt.Errorf("bridge: MaxUnacked(%d): it must be 1 to %d", n, consumer.MaxManual)
		}
		o.receiver.MaxUnacked = n
		return nil
	})
}

// MaxHeld bounds the encoded bytes of results that wait for a result before them. The default is
// 256 MiB. Results beyond the bound stay in Redis until they are due, and cost a round trip then;
// batches below 2 KiB are held all the same. With Unordered no result waits. bytes must be at least
// 1.
func MaxHeld(bytes int) GatherOption {
	return gatherOption(func(o *options) error {
		if bytes < 1 {
			return fmt.Errorf("bridge: MaxHeld(%d): it must be at least 1", bytes)
		}
		o.receiver.MaxHeld = bytes
		return nil
	})
}

// MaxDeliveries bounds the deliveries of a result that Nack gives back each time. With the Nack of
// the last delivery the item becomes a dead letter (executor.Executor.DeadLetters). An
// *executor.ItemError with the code "rejected" comes in its place, which is to be acknowledged as
// well. The default is no bound. It needs ManualAck.
func MaxDeliveries(n int) GatherOption {
	return gatherOption(func(o *options) error {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("bridge: MaxDeliveries(%d): it must be 1 to %d", n, math.MaxInt32)
		}
		o.receiver.MaxDeliveries = int64(n)
		return nil
	})
}

// Wait lets Gather wait for the right to gather the queue while another gather has it, instead of
// returning executor.ErrConsumerExists. Gather then returns when that gather has ended or its
// process is dead, or when ctx ends. A waiting process does not poll: it takes over within a
// moment, after a death once that is detected. Several processes may wait; one of them gets the
// queue. For a queue that a stage reads, Gather returns executor.ErrConsumerExists.
func Wait() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Standby = true
		return nil
	})
}

// Buffer sets the capacity of the channel that Gather returns. The default is 1024 results, and 4
// slices for GatherSlices. Results that lie in the channel are not delivered: the next Gather gets
// them again. Buffer(0) is Buffer(1), since the Result with the reason of an aborted stream needs a
// place.
func Buffer(n int) GatherOption {
	return gatherOption(func(o *options) error {
		if n < 0 {
			return fmt.Errorf("bridge: Buffer(%d): it must not be negative", n)
		}
		o.buffer = n
		return nil
	})
}

func (o options) capacity(otherwise int) int {
	if o.buffer < 0 {
		return otherwise
	}
	return max(1, o.buffer)
}
