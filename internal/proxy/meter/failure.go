package meter

// Failure is why a request could not be answered by an instance.
type Failure uint8

// The failures.
const (
	Dial       Failure = iota // the instance could not be reached
	Timeout                   // the instance did not answer in time
	Cut                       // the instance ended the connection before the end of its answer
	Malformed                 // what the instance sent is no valid answer
	NoInstance                // no instance was ready in time
	Overload                  // more requests than are allowed at once, or no room to wait
	Ended                     // a drain or the end of the proxy reached its limit
	ClientGone                // the client left before the end of the answer
	ClientSlow                // the client did not send or take the message in time
	BadRequest                // what the client sent is no valid request
	Unrouted                  // no site, no service or no live release for it
	Internal                  // a mistake in the proxy

	failureCount
)

// String is the name of the failure in metrics and the log.
func (f Failure) String() string {
	switch f {
	case Dial:
		return "dial"
	case Timeout:
		return "timeout"
	case Cut:
		return "cut"
	case Malformed:
		return "malformed"
	case NoInstance:
		return "no-instance"
	case Overload:
		return "overload"
	case Ended:
		return "ended"
	case ClientGone:
		return "client-gone"
	case ClientSlow:
		return "client-slow"
	case BadRequest:
		return "bad-request"
	case Unrouted:
		return "unrouted"
	case Internal, failureCount:
	}
	return "internal"
}

// Client reports whether it was the client who failed, not the site.
func (f Failure) Client() bool {
	return f == ClientGone || f == ClientSlow || f == BadRequest || f == Unrouted
}
