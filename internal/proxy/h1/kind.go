package h1

// Kind classifies a field by what a proxy has to do with it.
type Kind uint8

// The kinds. A field that Connection names becomes [Hop] only if it is of the
// kind [Other]: all the others are needed whatever a client nominates.
const (
	// Other goes on as it is.
	Other Kind = iota
	// Hop ends here (RFC 9110 7.6.1): Connection, Keep-Alive,
	// Proxy-Connection, TE, HTTP2-Settings, Proxy-Authenticate,
	// Proxy-Authorization, Proxy-Authentication-Info, every field of the kind
	// Other that Connection names, "Proxy" (programs behind a CGI would take it
	// for their HTTP_PROXY), an Upgrade that is not to be followed, and names
	// that some servers take for one that frames or routes a message, such as
	// Content_Length.
	Hop
	// Host is the Host field; [Request.Host] is what counts.
	Host
	// Length is Content-Length; the Length of the message is what counts.
	Length
	// Transfer is Transfer-Encoding: of this hop, to be written anew.
	Transfer
	// UpgradeTo is Upgrade: of this hop, to be written anew.
	UpgradeTo
	// Expect is Expect; what it asked for is in [Request.Expect100].
	Expect
	// Trailer announces trailer fields.
	Trailer
	// Cookie is Cookie.
	Cookie
	// Forwarded tells where a request came from: Forwarded, X-Forwarded-*,
	// X-Real-Ip, and names that some servers take for one of them.
	Forwarded
	// RequestID is X-Request-Id, and names that some servers take for it.
	RequestID
	// TraceParent is traceparent of W3C Trace Context.
	TraceParent
	// TraceState is tracestate of W3C Trace Context.
	TraceState
	// Accept is Accept.
	Accept
	// AcceptEncoding is Accept-Encoding.
	AcceptEncoding
	// ContentType is Content-Type.
	ContentType
	// Content says how to read the content: Content-Encoding, Content-Range,
	// Content-Location, Content-Language.
	Content
	// SetCookie is Set-Cookie.
	SetCookie
	// Date is Date.
	Date
	// Range is Range.
	Range
	// IdempotencyKey is Idempotency-Key.
	IdempotencyKey
	// UserAgent is User-Agent.
	UserAgent
	// Location is Location.
	Location
	// Authorization is Authorization or WWW-Authenticate.
	Authorization
	// CacheControl is Cache-Control.
	CacheControl
	// Condition is If-Match, If-None-Match, If-Modified-Since,
	// If-Unmodified-Since or If-Range.
	Condition
	// Referer is Referer.
	Referer
	// Origin is Origin.
	Origin
	// Server is Server.
	Server
	// RetryAfter is Retry-After.
	RetryAfter
	// Noon is every field whose name begins with "Noon-".
	Noon

	// Kinds that a reader sees as Hop.
	connection
	te
	kinds
)

// kindOf classifies a name that consists of letters, digits and "-".
func kindOf(name []byte) Kind {
	switch n := len(name); {
	case n < 2:
		return Other
	case name[0]|0x20 == 'n':
		return own(name)
	case n <= 9:
		return kindOfShort(name)
	case n <= 12:
		return kindOfMiddle(name)
	default:
		return kindOfLong(name)
	}
}

func kindOfShort(name []byte) Kind {
	switch len(name) {
	case 2:
		return pick(name, "te", te)
	case 4:
		return pick(name, "host", Host) | pick(name, "date", Date)
	case 5:
		return pick(name, "range", Range) | pick(name, "proxy", Hop)
	case 6:
		switch name[0] | 0x20 {
		case 'a':
			return pick(name, "accept", Accept)
		case 'c':
			return pick(name, "cookie", Cookie)
		case 'e':
			return pick(name, "expect", Expect)
		}
		return pick(name, "origin", Origin) | pick(name, "server", Server)
	case 7:
		return pick(name, "upgrade", UpgradeTo) | pick(name, "trailer", Trailer) | pick(name, "referer", Referer)
	case 8:
		return pick(name, "location", Location) | pick(name, "if-match", Condition) | pick(name, "if-range", Condition)
	case 9:
		return pick(name, "forwarded", Forwarded) | pick(name, "x-real-ip", Forwarded)
	}
	return Other
}

func kindOfMiddle(name []byte) Kind {
	switch len(name) {
	case 10:
		switch name[0] | 0x20 {
		case 'c':
			return pick(name, "connection", connection)
		case 'u':
			return pick(name, "user-agent", UserAgent)
		case 'k':
			return pick(name, "keep-alive", Hop)
		case 's':
			return pick(name, "set-cookie", SetCookie)
		case 't':
			return pick(name, "tracestate", TraceState)
		}
	case 11:
		return pick(name, "traceparent", TraceParent) | pick(name, "retry-after", RetryAfter)
	case 12:
		return pick(name, "content-type", ContentType) | pick(name, "x-request-id", RequestID)
	}
	return Other
}

func kindOfLong(name []byte) Kind {
	switch name[0] | 0x20 {
	case 'a':
		return pick(name, "accept-encoding", AcceptEncoding) | pick(name, "authorization", Authorization)
	case 'c':
		return kindOfContent(name)
	case 'h':
		return pick(name, "http2-settings", Hop)
	case 'i':
		return kindOfCondition(name) | pick(name, "idempotency-key", IdempotencyKey)
	case 'p':
		return pick(name, "proxy-connection", Hop) | pick(name, "proxy-authenticate", Hop) |
			pick(name, "proxy-authorization", Hop) | pick(name, "proxy-authentication-info", Hop)
	case 't':
		return pick(name, "transfer-encoding", Transfer)
	case 'w':
		return pick(name, "www-authenticate", Authorization)
	case 'x':
		return pick(name[:len("x-forwarded-")], "x-forwarded-", Forwarded)
	}
	return Other
}

func kindOfContent(name []byte) Kind {
	switch len(name) {
	case 13:
		return pick(name, "cache-control", CacheControl) | pick(name, "content-range", Content)
	case 14:
		return pick(name, "content-length", Length)
	case 16:
		return pick(name, "content-encoding", Content) | pick(name, "content-language", Content) | pick(name, "content-location", Content)
	}
	return Other
}

func kindOfCondition(name []byte) Kind {
	return pick(name, "if-none-match", Condition) | pick(name, "if-modified-since", Condition) | pick(name, "if-unmodified-since", Condition)
}

// own finds the fields of noon itself.
func own(name []byte) Kind {
	if len(name) < len("noon-") {
		return Other
	}
	return pick(name[:len("noon-")], "noon-", Noon)
}

// pick gives k if name is s, and Other if not.
func pick(name []byte, s string, k Kind) Kind {
	if len(name) == len(s) && name[0]|0x20 == s[0] && is(name, s) {
		return k
	}
	return Other
}

// longestKnown is longer than any name that kindOf has to see as a whole.
const longestKnown = 32

// kindOfOdd classifies a name that holds other characters of a token than
// letters, digits and "-". Servers that hand fields to programs as variables
// (CGI, WSGI) make one name of X-Forwarded-For, X_Forwarded_For and sometimes
// X.Forwarded.For: what would frame, route or name the sender of the message
// there ends here or is treated alike.
func kindOfOdd(name []byte) Kind {
	var plain [longestKnown]byte
	n := copy(plain[:], name)
	for i, c := range plain[:n] {
		if class[c]&inName == 0 {
			plain[i] = '-'
		}
	}
	if n < len(name) && n == longestKnown {
		// Longer than all but prefixes: only those can match.
		return oddKind(pick(plain[:len("x-forwarded-")], "x-forwarded-", Forwarded) | own(plain[:n]))
	}
	return oddKind(kindOf(plain[:n]))
}

func oddKind(k Kind) Kind {
	switch k {
	case Forwarded, RequestID, Noon:
		return k
	case Hop, Host, Length, Transfer, UpgradeTo, Expect, Trailer, connection, te:
		return Hop
	default:
		return Other
	}
}

// String names the kind as the fields are called.
func (k Kind) String() string {
	names := [kinds]string{
		"other", "hop", "host", "content-length", "transfer-encoding", "upgrade", "expect", "trailer", "cookie", "forwarded",
		"x-request-id", "traceparent", "tracestate", "accept", "accept-encoding", "content-type", "content", "set-cookie", "date", "range",
		"idempotency-key", "user-agent", "location", "authorization", "cache-control", "condition", "referer", "origin", "server", "retry-after",
		"noon", "connection", "te",
	}
	if k >= kinds {
		return "unknown"
	}
	return names[k]
}
