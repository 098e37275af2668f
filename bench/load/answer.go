//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHead bounds an answer's head.
const maxHead = 16 << 10

// answer follows one HTTP/1.1 answer with a Content-Length through the pieces
// in which it arrives.
type answer struct {
	want  int    // length of the body
	head  []byte // while it is not whole
	left  int    // of the body
	begun bool   // the head is known
	close bool   // the connection ends with it
}

// reset makes ready for the next answer.
func (a *answer) reset() { *a = answer{want: a.want, head: a.head[:0]} }

// feed takes the next piece and reports whether the answer is whole.
func (a *answer) feed(piece []byte) (whole bool, err error) {
	if !a.begun {
		if piece, err = a.feedHead(piece); err != nil || !a.begun {
			return false, err
		}
	}
	if len(piece) > a.left {
		return false, fmt.Errorf("%d bytes after the end of an answer", len(piece)-a.left)
	}
	a.left -= len(piece)
	return a.left == 0, nil
}

func (a *answer) feedHead(piece []byte) (rest []byte, err error) {
	data := piece
	if len(a.head) > 0 {
		a.head = append(a.head, piece...)
		data = a.head
	}
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(a.head) == 0 {
			a.head = append(a.head, piece...)
		}
		if len(a.head) > maxHead {
			return nil, errors.New("the head of an answer does not end")
		}
		return nil, nil
	}
	a.begun = true
	return data[end+4:], a.read(data[:end+2])
}

// read understands a head that ends with the line break of its last line.
func (a *answer) read(head []byte) error {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return fmt.Errorf("it was answered %q", line)
	}
	a.left = -1
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return fmt.Errorf("read the length of an answer: %w", err)
			}
			a.left = n
		case len(name) == len("Connection") && bytes.EqualFold(name, []byte("Connection")):
			a.close = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	if a.left != a.want {
		return fmt.Errorf("the body of an answer has %d bytes, not %d", a.left, a.want)
	}
	return nil
}
