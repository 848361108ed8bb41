package ahead

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// give gives values until the buffer is closed, and counts them.
func give(b *Buffer[int], given *int) {
	for b.Give(*given) {
		*given++
	}
	b.End(nil)
}

func TestBufferIsBoundedAndOrdered(t *testing.T) {
	for _, c := range []struct{ size, most int }{{0, maxItems}, {maxBytes / 10, 11}, {2 * maxBytes, 1}} {
		synctest.Test(t, func(t *testing.T) {
			b, given := New(func(int) int { return c.size }), 0
			go give(b, &given)
			var values []int
			next := 0
			for range 3 {
				synctest.Wait()
				if given-next > c.most {
					t.Errorf("of size %d, %d are ahead", c.size, given-next)
				}
				<-b.Some()
				var more bool
				if values, more, _ = b.Take(values); !more || len(values) == 0 || values[0] != next {
					t.Fatalf("got %v, more %v, where %d was next", values, more, next)
				}
				next += len(values)
			}
			b.Close()
			synctest.Wait()
			<-b.Some()
			if _, more, err := b.Take(nil); more || err != nil {
				t.Errorf("more %v, %v behind the end", more, err)
			}
		})
	}
}

// One that blocks has given all that it gave.
func TestTakeDoesNotWaitForNextValue(t *testing.T) {
	b := New(func(int) int { return 0 })
	for i := range 3 {
		b.Give(i)
	}
	<-b.Some()
	if values, more, err := b.Take(nil); !slices.Equal(values, []int{0, 1, 2}) || !more || err != nil {
		t.Errorf("got %v, more %v, %v", values, more, err)
	}
	why := errors.New("broken")
	b.Give(3)
	b.End(why)
	<-b.Some()
	if values, more, err := b.Take(nil); !slices.Equal(values, []int{3}) || more || !errors.Is(err, why) {
		t.Errorf("got %v, more %v, %v", values, more, err)
	}
}
