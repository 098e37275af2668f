package sockets

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"github.com/noon-deploy/noon"
)

// A message is its length in four bytes, then JSON. Descriptors come with its
// first byte.
const (
	headBytes   = 4
	mostMessage = 4 << 20
	// mostFiles is what the kernel takes along with one message (SCM_MAX_FD).
	mostFiles = 253
)

// What is said to a holder.
const (
	sayCandidate = "candidate" // a worker that may come to serve
	sayServing   = "serving"   // a worker that serves, with its sockets
	sayStatus    = "status"
	sayWatch     = "watch" // status now and at each change
	sayBecome    = "become"
)

// call is what is said to a holder; the first and only one of a connection.
type call struct {
	Say     string   `json:"say"`
	Command Command  `json:"command"`
	Listen  []string `json:"listen,omitempty"` // names of the descriptors that come with it
}

// answer is what a holder says.
type answer struct {
	Status Status      `json:"status"`
	Error  *noon.Error `json:"error,omitempty"`
}

// Command is how a process is started.
type Command struct {
	Argv []string `json:"argv,omitempty"`
	Env  []string `json:"env,omitempty"`
}

// send writes one message.
func send(c *net.UnixConn, v any, fds []int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(body) > mostMessage || len(fds) > mostFiles {
		return fmt.Errorf("%d bytes with %d descriptors are too much for one message", len(body), len(fds))
	}
	data := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...) //nolint:gosec // bounded above
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	n, _, err := c.WriteMsgUnix(data, rights, nil)
	if err == nil && n < len(data) {
		_, err = c.Write(data[n:])
	}
	return err
}

// receive reads one message and the descriptors that came with it. After an
// error none is left open.
func receive(c *net.UnixConn, into any) (fds []int, err error) {
	defer func() {
		if err != nil {
			closeAll(fds)
			fds = nil
		}
	}()
	var head [headBytes]byte
	if fds, err = receiveFull(c, head[:], fds); err != nil {
		return fds, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > mostMessage {
		return fds, fmt.Errorf("a message of %d bytes is too long", size)
	}
	body := make([]byte, size)
	if fds, err = receiveFull(c, body, fds); err != nil {
		return fds, err
	}
	if err = json.Unmarshal(body, into); err != nil {
		return fds, fmt.Errorf("decode a message: %w", err)
	}
	return fds, nil
}

// receiveFull fills buf, and no more, and adds what comes with it to fds.
func receiveFull(c *net.UnixConn, buf []byte, fds []int) ([]int, error) {
	rights := make([]byte, unix.CmsgSpace(4*mostFiles))
	for len(buf) > 0 {
		n, nr, flags, _, err := c.ReadMsgUnix(buf, rights)
		came, rerr := descriptors(rights[:nr])
		fds = append(fds, came...)
		switch {
		case err != nil:
			return fds, err
		case rerr != nil:
			return fds, rerr
		case flags&unix.MSG_CTRUNC != 0 || len(fds) > mostFiles:
			return fds, errors.New("more descriptors came than can be taken")
		case n == 0:
			return fds, io.ErrUnexpectedEOF
		}
		buf = buf[n:]
	}
	return fds, nil
}

func descriptors(rights []byte) ([]int, error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("read descriptors: %w", err)
	}
	var fds []int
	for i := range messages {
		came, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // credentials, say; nothing to close
		}
		for _, fd := range came {
			unix.CloseOnExec(fd)
		}
		fds = append(fds, came...)
	}
	return fds, nil
}
