package sockets

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/noon-deploy/noon"
)

// envInherit names the sockets that a worker is started with, as a JSON list;
// their descriptors begin at firstFD.
const (
	envInherit = "NOON_SOCKETS"
	firstFD    = 3
)

// Inherit takes the sockets that the holder has left in this process; none if
// it was not started by one. It must be called at most once, early.
func Inherit() ([]Listener, error) {
	value, ok := os.LookupEnv(envInherit)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(envInherit); err != nil {
		return nil, &noon.Error{Kind: noon.Internal, Op: "forget", Subject: envInherit, Err: err}
	}
	names, err := parseNames(value)
	if err != nil {
		return nil, err
	}
	listeners := make([]Listener, len(names))
	for i, name := range names {
		listeners[i].Name = name
		l, lerr := inheritedListener(firstFD+i, name)
		if lerr != nil && err == nil {
			err = &noon.Error{Kind: noon.Internal, Op: "take over the socket", Subject: name, Err: lerr}
		}
		listeners[i].Listener = l
	}
	if err != nil {
		for _, l := range listeners {
			if l.Listener != nil {
				_ = l.Close() // only our copy
			}
		}
		return nil, err
	}
	return listeners, nil
}

// inheritance is the variable that Inherit reads.
func inheritance(names []string) string {
	list, err := json.Marshal(names)
	if err != nil {
		return envInherit + "=" // not reached: strings can be encoded
	}
	return envInherit + "=" + string(list)
}

func inheritedListener(fd int, name string) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }() // net has its own copy
	return net.FileListener(f)
}

func parseNames(value string) ([]string, error) {
	var names []string
	err := json.NewDecoder(strings.NewReader(value)).Decode(&names)
	if err == nil && len(names) > mostFiles {
		err = syscall.E2BIG
	}
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "read", Subject: envInherit, Err: err, Hint: "This variable is set by the holder of the sockets, and by nobody else."}
	}
	return names, nil
}
