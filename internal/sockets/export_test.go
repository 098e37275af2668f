package sockets

import (
	"net"
	"time"
)

// What tests of the package look at from outside.

func Send(c *net.UnixConn, v any, fds []int) error       { return send(c, v, fds) }
func Receive(c *net.UnixConn, into any) ([]int, error)   { return receive(c, into) }
func CopyOf(l net.Listener) (int, error)                 { return copyOf(l) }
func CloseAll(fds []int)                                 { closeAll(fds) }
func ParseArgs(args []string) (Config, error)            { return parseArgs(args) }
func ParseNames(value string) ([]string, error)          { return parseNames(value) }
func Tail(path string, offset int64) string              { return tail(path, offset) }
func CleanEnviron(env []string) []string                 { return cleanEnviron(env) }
func Call(say string) any                                { return call{Say: say} }
func AnswerError(c *net.UnixConn) (error, error)         { return answerError(c) }
func Pause(quick int) time.Duration                      { return (&holder{quick: quick}).pause() }
func Inheritance(names []string) string                  { return inheritance(names) }
func Longest() (pause time.Duration, files, message int) { return longest, mostFiles, mostMessage }

func answerError(c *net.UnixConn) (said, err error) {
	var a answer
	if _, err := receive(c, &a); err != nil || a.Error == nil {
		return nil, err
	}
	return a.Error, nil
}
