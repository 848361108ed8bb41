package bridge

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
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

// ScatterOption changes what Scatter makes.
type ScatterOption interface{ applyScatter(*options) error }

// GatherOption changes what Gather does.
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
	return o, nil
}

// MaxSize is how many items may wait in the queue that Scatter makes. Then the
// producer waits, see also Overflow. There is no bound by number if it is not
// given. A named queue keeps the bound with which it was made.
func MaxSize(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxSize(%d): it must be at least 1", items)
		}
		o.source.Bounds.Max = int64(items)
		return nil
	})
}

// MaxBytes is how many bytes may wait in the queue that Scatter makes, encoded;
// 64 MiB if it is not given. It holds the producer back like MaxSize. One item
// always enters an empty queue, however large it is.
func MaxBytes(bytes int64) ScatterOption {
	return scatterOption(func(o *options) error {
		if bytes < 1 {
			return fmt.Errorf("bridge: MaxBytes(%d): it must be at least 1", bytes)
		}
		o.source.Bounds.MaxBytes = bytes
		return nil
	})
}

// MaxInFlight is how many items may be between Scatter and Gather: sent and not
// yet delivered. The default is 262144, and counts once a gather has begun. From then on at most 256 MiB of
// encoded items are in flight, unless an overflow policy drops items.
func MaxInFlight(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxInFlight(%d): it must be at least 1", items)
		}
		o.source.Window = broker.Window{Items: int64(items)}
		return nil
	})
}

// MaxBatch is how many items travel together at most. It is not needed for speed:
// without it, batches are as many items as are a few milliseconds of work, at most
// 8192. It does not bound the calls of a function made by workers.DefineBatch, which take
// several batches: workers.BatchSize does.
func MaxBatch(items int) ScatterOption {
	return scatterOption(func(o *options) error {
		if items < 1 {
			return fmt.Errorf("bridge: MaxBatch(%d): it must be at least 1", items)
		}
		o.batch = items
		return nil
	})
}

// Linger lets the first item of a batch wait so long for more items, up to the size of a batch that is
// sent at once. It saves commands if items come now and then, and delays them by that time. Without Linger a
// batch is sent as soon as the send before it is done.
func Linger(d time.Duration) ScatterOption {
	return scatterOption(func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("bridge: Linger(%v): it must be above 0", d)
		}
		o.linger = d
		return nil
	})
}

// Name makes Scatter feed a named queue: it stays until it is deleted, several
// scatters may feed it, and other processes reach it with executor.Open.
func Name(queue string) ScatterOption {
	return scatterOption(func(o *options) error {
		o.source.Queue = queue
		return nil
	})
}

// Seal lets no other scatter join a named queue after this one, so that the
// stream ends with it. A queue without a name is always sealed.
func Seal() ScatterOption {
	return scatterOption(func(o *options) error {
		o.source.Seal = true
		return nil
	})
}

// DurableSource makes a scatter into a named queue durable: if its process dies,
// the stream stays open, and the next scatter with the same source goes on with
// it. Stored of the queue that Scatter returns is the number of items that are
// stored already: send those behind them. A scatter of the source that is still
// alive is fenced off, and ends with executor.ErrFenced. A source whose input was
// closed has ended for good: Scatter returns an *executor.EndedError.
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

// An OverflowPolicy is what Scatter does with items for which there is no room, since MaxSize, MaxBytes
// or MaxInFlight is reached. See Overflow.
type OverflowPolicy = broker.OverflowPolicy

// OverflowBlock waits: Scatter does not read its channel until there is room. It is the default.
const OverflowBlock OverflowPolicy = broker.OverflowBlock

// OverflowDropNewest drops new items while there is no room.
const OverflowDropNewest OverflowPolicy = broker.OverflowDropNewest

// OverflowDropOldest drops items of the queue that no worker has read yet, the oldest first, to make room
// for new ones. If all were read, it drops new items.
const OverflowDropOldest OverflowPolicy = broker.OverflowDropOldest

// OverflowFail aborts the scatter as if its context had ended: behind the stored items, the stream ends
// with executor.ErrTruncated, and Err of the queue returns executor.ErrFull.
const OverflowFail OverflowPolicy = broker.OverflowFail

// Overflow chooses the policy. A dropped item keeps its place in the stream:
// Gather has an *executor.ItemError there, which is an executor.ErrDropped, and
// executor.Queue.Dropped counts it. Items are dropped by the batch in which they
// travel.
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

// KeepInput, given to both Scatter and Gather, brings the input of an item with its failure: the item as it
// was scattered is in executor.ItemError.Input, whichever stage failed. executor.InputAs decodes it.
//
// Redis holds each input until its result is delivered: about twice the memory of the items in flight,
// which MaxInFlight bounds; before the first gather only if it is given. A batch with failures costs the gather one more round trip. Once a source
// (DurableSource) keeps its inputs, its successors do so too.
func KeepInput() InputOption { return keepInput{} }

// An InputOption is an option of both Scatter and Gather.
type InputOption interface {
	ScatterOption
	GatherOption
}

type keepInput struct{}

func (keepInput) applyScatter(o *options) error { o.source.KeepInputs = true; return nil }

func (keepInput) applyGather(o *options) error { o.keepInput = true; return nil }

// WithCodec is the format of the items, such as workers.MsgPack() or one of the
// user's own. It is raw for strings and []byte and JSON for all other types if
// it is not given.
func WithCodec(c workers.Codec) ScatterOption {
	return scatterOption(func(o *options) error {
		o.codec = c
		return nil
	})
}

// Unordered hands results over as they come. Order costs waiting: a result is
// held back until all before it are there.
func Unordered() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Unordered = true
		return nil
	})
}

// ManualAck takes a result for delivered when its Ack is called, and not when it
// is taken from the channel. Results can be acked in any order; those that are
// not come again to the next gather of a named queue. The channel is closed when
// all are acked. AckAll acks many at once.
//
// At most MaxUnacked results are handed out and not acked. To MaxInFlight, an item is in flight until
// it and all before it are acked.
func ManualAck() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Manual = true
		return nil
	})
}

// MaxUnacked is how many results may be handed out and not acked, with those in the buffer and
// those that wait after Nack: then the channel waits for an Ack. It is 16384 if it is not given,
// which is also the most. It needs ManualAck.
func MaxUnacked(n int) GatherOption {
	return gatherOption(func(o *options) error {
		if n < 1 || n > consumer.MaxManual {
			return fmt.Errorf("bridge: MaxUnacked(%d): it must be 1 to %d", n, consumer.MaxManual)
		}
		o.receiver.MaxUnacked = n
		return nil
	})
}

// MaxHeld bounds the results that wait for a result before them, in encoded bytes: 256 MiB if it is
// not given. Results beyond it stay in Redis until they are due, and cost a round trip then; batches
// below 2 KiB are held all the same. With Unordered no result waits.
func MaxHeld(bytes int) GatherOption {
	return gatherOption(func(o *options) error {
		if bytes < 1 {
			return fmt.Errorf("bridge: MaxHeld(%d): it must be at least 1", bytes)
		}
		o.receiver.MaxHeld = bytes
		return nil
	})
}

// MaxDeliveries is how often a result is delivered at most that Nack gives back each time. With
// the Nack of the last one its item becomes a dead letter (Executor.DeadLetters), and an error
// comes in its place, an *executor.ItemError with the code "rejected". That is to be acked as
// well. There is no bound if it is not given. It needs ManualAck.
func MaxDeliveries(n int) GatherOption {
	return gatherOption(func(o *options) error {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("bridge: MaxDeliveries(%d): it must be 1 to %d", n, math.MaxInt32)
		}
		o.receiver.MaxDeliveries = int64(n)
		return nil
	})
}

// Wait makes Gather wait for the right to gather the queue, instead of returning
// executor.ErrConsumerExists, while another gather has it: until that one ends, or its process is
// dead, or ctx ends. It is told, and does not ask again and again. A process that waits
// so takes over within a moment, and after a death when that is found. Several may
// wait; one of them gets the queue. A queue that a stage reads is executor.ErrConsumerExists.
func Wait() GatherOption {
	return gatherOption(func(o *options) error {
		o.receiver.Standby = true
		return nil
	})
}

// Buffer is the capacity of the channel that Gather returns: 1024 results if it is not
// given, 4 slices for GatherSlices. Results that lie in the channel are not delivered: they
// come again to the next Gather. Buffer(0) is Buffer(1): the Result with the reason of an
// aborted stream needs a place if the program does not receive.
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
