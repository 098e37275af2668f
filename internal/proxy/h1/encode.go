package h1

import "math/bits"

// AppendField appends a field line.
func AppendField(dst, name, value []byte) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// AppendChunkSize appends the line that begins a chunk of n bytes, n > 0; the
// data follows, and "\r\n" after it.
func AppendChunkSize(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	for shift := (bits.Len64(uint64(n)) - 1) &^ 3; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&15])
	}
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body, with trailer fields if
// there are any.
func AppendLastChunk(dst []byte, trailer []Field) []byte {
	dst = append(dst, "0\r\n"...)
	for _, f := range trailer {
		dst = AppendField(dst, f.Name, f.Value)
	}
	return append(dst, "\r\n"...)
}
