package builtin

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFunctions(t *testing.T) {
	if n := len(Functions()); n != 6 {
		t.Errorf("%d functions", n)
	}
}

func TestFunctionsOfNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		f       func(context.Context, int) (int, error)
		x, want int
	}{
		"inc":              {inc, 41, 42},
		"inc wraps":        {inc, math.MaxInt, math.MinInt},
		"double":           {double, -21, -42},
		"double wraps":     {double, math.MaxInt, -2},
		"fail of the rest": {fail, 4, 4},
		"fail below 0":     {fail, -4, -4},
	} {
		if got, err := c.f(t.Context(), c.x); got != c.want || err != nil {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
}

func TestFailFailsAtEveryAttempt(t *testing.T) {
	for _, x := range []int{0, 3, -3, 9, 3} {
		for range 2 {
			if got, err := fail(t.Context(), x); got != 0 || err == nil {
				t.Errorf("%d: got %d, %v", x, got, err)
			}
		}
	}
}

func TestUpper(t *testing.T) {
	if got, err := upper(t.Context(), "aé1\n"); got != "AÉ1\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUpperKeepsInvalidBytes(t *testing.T) {
	if got, err := upper(t.Context(), "a\xffé\xe9\uFFFDz"); got != "A\xffÉ\xe9\uFFFDZ" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10ms": 10 * time.Millisecond, "1m1s": 61 * time.Second, "0": 0, "2": 2 * time.Second,
		"0.5": time.Second / 2, "1e-3": time.Millisecond, ".25": time.Second / 4,
	} {
		if got, err := duration(text); got != want || err != nil {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "-10ms", "NaN", "Inf", "-Inf", "1e300", "1e400", "10 ms", "10MS"} {
		if got, err := duration(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestSleep(t *testing.T) {
	begin := time.Now()
	if got, err := sleep(t.Context(), "20ms"); got != "20ms" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(begin); took < 20*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if _, err := sleep(t.Context(), "soon"); err == nil {
		t.Error("no error")
	}
}

func TestEndOfContextEndsFunctions(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(cause) })
	if got, err := sleep(ctx, "1000"); got != "" || !errors.Is(err, cause) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := sha256file(ctx, "/dev/zero"); got != "" || !errors.Is(err, cause) {
		t.Errorf("got %q, %v", got, err)
	}
}
