package workers

import "context"

// A Pair is the input of a function of two queues.
type Pair[A, B any] struct {
	First  A `json:"first"`
	Second B `json:"second"`
}

// Define2 returns a function of two values, for executor.Map2. Everything else is as for Define.
func Define2[A, B, Out any](name string, f func(context.Context, A, B) (Out, error), opts ...DefineOption) Func[Pair[A, B], Out] {
	var pairs func(context.Context, Pair[A, B]) (Out, error)
	if f != nil {
		pairs = func(ctx context.Context, p Pair[A, B]) (Out, error) { return f(ctx, p.First, p.Second) }
	}
	return Define(name, pairs, opts...)
}
