package workers

// Permanent makes an error of a function final: the item is not tried again,
// however many Retries its stage has. It is nil for nil; errors.Is and errors.As
// see through it.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }
