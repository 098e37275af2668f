package h1test

import (
	"fmt"
	"strings"
)

func (c Case) rest(rest string) Case {
	c.Raw, c.Rest = append(c.Raw, rest...), rest
	return c
}

func length(s string) string    { return fmt.Sprint(len(s)) }
func hexLength(s string) string { return fmt.Sprintf("%x", len(s)) }

func hosts() []Case {
	wrong := []string{
		"", " ", "a b", "a,b", "a/b", "user@a", "a:", "a:b", "a:65536", "a:080808080", "a\x00b", "a\x80b", "a#b", "a?b", "a\\b", "http://a", "[::1", "::1", "[::1]]", "a%20b", "a;b", "a=b", "a\tb", "<a>", "a:80, b:80",
	}
	cases := every("Host", wrong, func(name, v string) Case { return raw(name, 400, "GET / HTTP/1.1\r\nHost: "+v+"\r\n\r\n") })
	right := every("Host", []string{"a", "A.B", "a:80", "a:0", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "[::ffff:127.0.0.1]", "a_b.example", "a.", "xn--bcher-kva.example"}, func(name, v string) Case {
		return raw(name, 0, "GET / HTTP/1.1\r\nHost: "+v+"\r\n\r\n").host(v)
	})
	return append(append(cases, right...),
		raw("no Host", 400, "GET / HTTP/1.1\r\n\r\n"),
		raw("two Hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
		raw("the same Host twice", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
		raw("two Hosts in HTTP/1.0", 400, "GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n"),
		raw("a blank before the colon of Host", 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
		raw("Host that Connection names", 0, "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n").host("a"),
	)
}

func names() []Case {
	wrong := []string{
		"", " ", "X Y", "X\t", "X ", "X\x00Y", "X\x7f", "X\x80", "X\xff", "X(Y)", "X,Y", "X;Y", "X/Y", "\"X\"", "X[0]", "X{0}", "X@Y", "X=Y", "X?", "X\\Y", "X<Y>", "X\v", "\x0cX",
		"Transfer-Encoding ", "Content-Length\t", "Content-Length\x00", " Transfer-Encoding", "\tTransfer-Encoding",
	}
	cases := every("name", wrong, func(name, v string) Case { return get(name, 400, v+": chunked\r\n") })
	return append(cases,
		get("no colon", 400, "X-Nothing\r\n"),
		get("no colon before another field", 400, "Transfer-Encoding\r\nX: chunked\r\n"),
		get("only a colon", 400, ":\r\n"),
	)
}

func values() []Case {
	var cases []Case
	for c := range 0x20 {
		if c != '\t' {
			cases = append(cases, get(fmt.Sprintf("byte 0x%02x in a value", c), 400, "X-Text: some"+string(rune(c))+"thing\r\n"))
		}
	}
	return append(cases,
		get("byte 0x7f in a value", 400, "X-Text: some\x7fthing\r\n"),
		get("a zero byte at the end of a value", 400, "X-Text: something\x00\r\n"),
		get("a field hidden behind a carriage return", 400, "X-Text: a\rTransfer-Encoding: chunked\r\n"),
		get("a field hidden behind a line feed", 400, "X-Text: a\nTransfer-Encoding: chunked\r\n"),
		get("a head hidden behind line feeds", 400, "X-Text: a\n\nGET /hidden HTTP/1.1\nHost: a\n\r\n"),
		get("two carriage returns", 400, "X-Text: a\r\r\n"),
	)
}

func folding() []Case {
	return []Case{
		get("a field folded with a blank", 400, "X-Text: a\r\n b\r\n"),
		get("a field folded with a tab", 400, "X-Text: a\r\n\tb\r\n"),
		get("a fold of nothing", 400, "X-Text: a\r\n \r\n"),
		raw("a fold before the first field", 400, "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"),
		post("Transfer-Encoding folded", 400, "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
		post("Content-Length folded", 400, "Content-Length:\r\n 5\r\n", "hello"),
		post("a coding folded", 400, "Transfer-Encoding: chunked\r\n , identity\r\n", "0\r\n\r\n"),
		raw("Host folded", 400, "GET / HTTP/1.1\r\nHost:\r\n\ta\r\n\r\n"),
	}
}

func bareLines() []Case {
	return []Case{
		raw("line feeds only", 400, "GET / HTTP/1.1\nHost: a\n\n"),
		raw("a line feed after the request line", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
		raw("a line feed after a field", 400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
		raw("a line feed for the empty line", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
		raw("carriage returns only", 400, "GET / HTTP/1.1\rHost: a\r\r"),
		raw("a carriage return after the request line", 400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
		raw("a carriage return for the empty line", 400, "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
		raw("the ends of lines reversed", 400, "GET / HTTP/1.1\n\rHost: a\n\r\n\r"),
		raw("HTTP/0.9", 400, "GET /\r\n"),
		raw("HTTP/0.9 with a line feed", 400, "GET /\n"),
	}
}

func limits() []Case {
	return []Case{
		line("a long target", 414, "GET /"+strings.Repeat("a", 16<<10)+" HTTP/1.1"),
		line("a long query", 414, "GET /?"+strings.Repeat("a", 16<<10)+" HTTP/1.1"),
		line("a long method", 414, strings.Repeat("A", 17<<10)+" / HTTP/1.1"),
		line("a target of 8 KiB", 0, "GET /"+strings.Repeat("a", 8<<10)+" HTTP/1.1"),
		get("127 fields besides Host", 0, strings.Repeat("X-A: b\r\n", 127)),
		get("128 fields besides Host", 431, strings.Repeat("X-A: b\r\n", 128)),
		get("a value of 8 KiB", 0, "X-Long: "+strings.Repeat("a", 8<<10)+"\r\n"),
		get("40 options of Connection", 431, "Connection: "+strings.Repeat("x-a,", 40)+"\r\n"),
	}
}

func connections() []Case {
	return []Case{
		get("Connection: close", 0, "Connection: close\r\n").gone("Connection"),
		get("Connection names a field", 0, "Connection: close, X-Hop\r\nX-Hop: 1\r\n").gone("Connection", "X-Hop"),
		get("Connection names a field before it", 0, "X-Hop: 1\r\nConnection: x-hop\r\n").gone("X-Hop"),
		get("two Connection fields", 0, "Connection: x-a\r\nX-A: 1\r\nX-B: 1\r\nConnection: x-b\r\n").gone("X-A", "X-B"),
		get("empty options", 0, "Connection: , ,close,,\r\n").gone("Connection"),
		get("an option that is no token", 0, "Connection: \"close\", X Y\r\n").gone("Connection"),
		get("fields of one hop", 0, "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nProxy-Authorization: Basic YTpi\r\n").
			gone("Keep-Alive", "Proxy-Connection", "TE", "Proxy-Authorization"),
		get("Proxy, which CGI takes for HTTP_PROXY", 0, "Proxy: http://evil.example\r\n").gone("Proxy"),
		post("Connection names Content-Length", 0, "Connection: content-length\r\nContent-Length: 5\r\n", "hello").body("hello"),
		post("Connection names Transfer-Encoding", 0, "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n").body("hello"),
	}
}

// Names that some servers take for others.
func lookalikes() []Case {
	frames := every("name", []string{"Content_Length", "content.length", "CONTENT_LENGTH", "Transfer_Encoding", "TRANSFER~ENCODING", "Proxy_Connection", "Keep_Alive"}, func(name, v string) Case {
		return get(name, 0, v+": 5\r\n").gone(v)
	})
	return append(frames,
		post("Content_Length beside Content-Length", 0, "Content_Length: 0\r\nContent-Length: 5\r\n", "hello").body("hello").gone("Content_Length"),
		post("Transfer_Encoding beside Content-Length", 0, "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello").body("hello").gone("Transfer_Encoding"),
		post("X-Content-Length", 0, "X-Content-Length: 9\r\nContent-Length: 5\r\n", "hello").body("hello"),
		post("Content-Length2", 0, "Content-Length2: 9\r\nContent-Length: 5\r\n", "hello").body("hello"),
	)
}

func upgrades() []Case {
	return []Case{
		get("h2c is not gone over to", 0, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n").gone("Upgrade", "HTTP2-Settings"),
		get("h2c in a list", 0, "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n").gone("Upgrade"),
		get("h2c in two fields", 0, "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n").gone("Upgrade"),
		get("Upgrade without Connection", 0, "Upgrade: websocket\r\n").gone("Upgrade"),
		get("HTTP2-Settings alone", 0, "HTTP2-Settings: AAMAAABk\r\n").gone("HTTP2-Settings"),
		raw("Upgrade in HTTP/1.0", 0, "GET / HTTP/1.0\r\nHost: "+Site+"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").gone("Upgrade"),
	}
}

func expectations() []Case {
	return append(every("Expect", []string{"200-ok", "", "100-continue, 100-continue", "100-continue;q=1", "100"}, func(name, v string) Case {
		return post(name, 417, "Expect: "+v+"\r\nContent-Length: 5\r\n", "hello")
	}),
		post("Expect twice", 417, "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
		post("Expect: 100-Continue", 0, "Expect: 100-Continue\r\nContent-Length: 5\r\n", "hello").body("hello"),
	)
}

func prefaces() []Case {
	whole := raw("the preface of HTTP/2", 0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	whole.Preface = true
	return []Case{
		whole,
		raw("half a preface", 505, "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
		raw("a preface with a field", 505, "PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n"),
		raw("a preface behind an empty line", 505, "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		raw("PRI in HTTP/1.1", 505, "PRI * HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("frames of HTTP/2 without a preface", 400, "\x00\x00\x12\x04\x00\x00\x00\x00\x00"+next),
	}
}
