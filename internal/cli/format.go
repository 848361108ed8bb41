package cli

// FormatRaw appends the output of a record as it is.
func FormatRaw(dst []byte, rec *Record) []byte { return append(dst, rec.Output...) }
