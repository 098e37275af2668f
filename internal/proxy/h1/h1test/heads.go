package h1test

import "strings"

const next = "GET /next HTTP/1.1\r\nHost: " + Site + "\r\n\r\n"

func good() []Case {
	return []Case{
		get("plain GET", 0, ""),
		get("empty value", 0, "X-Empty:\r\n"),
		get("blanks around a value", 0, "X-Blank: \t a value \t \r\n"),
		get("tabs inside a value", 0, "X-Tab: a\tb\r\n"),
		get("bytes beyond ASCII in a value", 0, "X-Text: gr\xfc\xdfe\r\n"),
		get("names in any case", 0, "x-a: 1\r\nX-A: 2\r\n"),
		get("all characters of a token in a name", 0, "!#$%&'*+-.^_`|~09azAZ: 1\r\n"),
		line("query", 0, "GET /a?b=c&d=%zz HTTP/1.1"),
		line("empty query", 0, "GET /a? HTTP/1.1"),
		line("two slashes first", 0, "GET //evil.example/a HTTP/1.1"),
		line("dots in the path", 0, "GET /a/../b/./c HTTP/1.1"),
		line("escaped slash", 0, "GET /a%2fb HTTP/1.1"),
		line("what browsers do not escape", 0, "GET /a|b[c]{d}^`\\?\"<> HTTP/1.1"),
		line("a method of its own", 0, "BREW /pot HTTP/1.1"),
		line("OPTIONS *", 0, "OPTIONS * HTTP/1.1"),
		line("HTTP/1.0", 0, "GET / HTTP/1.0"),
		raw("HTTP/1.0 without Host", 0, "GET / HTTP/1.0\r\n\r\n").host(""),
		post("POST", 0, "Content-Length: 5\r\n", "hello").body("hello"),
		post("POST without a body", 0, "Content-Length: 0\r\n", ""),
		post("POST without a length", 0, "", ""),
		post("leading zeros", 0, "Content-Length: 0005\r\n", "hello").body("hello"),
		chunked("chunked", 0, "5\r\nhello\r\n0\r\n\r\n").body("hello"),
		chunked("chunked in two", 0, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n").body("hello"),
	}
}

func pipelined() []Case {
	return []Case{
		get("a second request", 0, "").rest(next),
		get("a second request behind an empty line", 0, "").rest("\r\n" + next),
		post("a second request behind a body", 0, "Content-Length: 5\r\n", "hello").body("hello").rest(next),
		post("CL.0: a body that looks like a request", 0, "Content-Length: "+length(next)+"\r\n", next).body(next),
		raw("GET with a body", 0, "GET / HTTP/1.1\r\nHost: "+Site+"\r\nContent-Length: 5\r\n\r\nhello").body("hello").rest(next),
		raw("HEAD with a body", 0, "HEAD / HTTP/1.1\r\nHost: "+Site+"\r\nContent-Length: 5\r\n\r\nhello").body("hello").rest(next),
		post("no length, so a second request", 0, "", "").rest(next),
		chunked("a second request behind chunks", 0, "5\r\nhello\r\n0\r\n\r\n").body("hello").rest(next),
		chunked("a chunk that looks like a request", 0, hexLength(next)+"\r\n"+next+"\r\n0\r\n\r\n").body(next),
	}
}

func requestLines() []Case {
	lines := []string{
		"", " GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET", "GET ", "GET /", "GET / ", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
		"GET / HTTP/1.1 ", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / HTTP/1.1\t", "GET /a b HTTP/1.1", "GET\v/ HTTP/1.1",
		"GET /\fHTTP/1.1", "GET / HTTP/1.1 HTTP/1.1", "GET / HTTP/1.1\r", "GET\r / HTTP/1.1", "GET /\r HTTP/1.1", "GET HTTP/1.1",
		"GET\xa0/ HTTP/1.1", "GET /\x85HTTP/1.1",
	}
	return every("request line", lines[1:], func(name, v string) Case { return line(name, 400, v) })
}

func methods() []Case {
	return every("method", []string{"G ET", "G\x00ET", "GET:", "(GET)", "G\xc3\x89T", "GE\x7fT", "\"GET\"", "GET,POST", "G/T", "\x16\x03\x01"}, func(name, v string) Case {
		return line(name, 400, v+" / HTTP/1.1")
	})
}

func versions() []Case {
	unknown := every("version", []string{"HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/3.0", "HTTP/9.9"}, func(name, v string) Case {
		return line(name, 505, "GET / "+v)
	})
	wrong := []string{"http/1.1", "HTTP/1", "HTTP/1.", "HTTP/11", "HTTP/1.10", "HTTP/01.1", "HTTP/1.01", "HTTP/+1.1", "HTTP /1.1", "HTTP/1,1", "HTTP/1.1x", "HTTQ/1.1", "HTTP/1.1\x00", "HTTPS/1.1", "1.1", "ICY/1.1"}
	return append(unknown, every("version", wrong, func(name, v string) Case { return line(name, 400, "GET / "+v) })...)
}

func blankLines() []Case {
	return []Case{
		raw("an empty line first", 0, "\r\n"+next),
		raw("four empty lines first", 0, strings.Repeat("\r\n", 4)+next),
		raw("five empty lines first", 400, strings.Repeat("\r\n", 5)+next),
		raw("a line feed first", 400, "\n"+next),
		raw("a carriage return first", 400, "\r"+next),
		raw("a line of blanks first", 400, "  \r\n"+next),
		raw("a zero byte first", 400, "\x00"+next),
	}
}

func targets() []Case {
	wrong := []string{
		"/a#b", "#", "/\x00", "/\x01", "/\x7f", "/\x80", "/\xc3\xa9", "/a\vb", "*", "a", "a/b", "?a=b", "example.com:80", "shop.example.com/a",
		"ftp://shop.example.com/", "file:///etc/passwd", "http:/a", "http:a", "http:///a", "http://", "https://", "://shop.example.com/", "httpx://shop.example.com/",
		"/%", "/%z", "/%2", "/%2x", "/%%20", "/a%g0?b", "\\a", "..", "/../\x1f", "//\x00",
	}
	return every("target", wrong, func(name, v string) Case { return line(name, 400, "GET "+v+" HTTP/1.1") })
}

func authorities() []Case {
	wrong := []string{
		"user@shop.example.com", "user:secret@shop.example.com", ":80", "shop.example.com:", "shop.example.com:x", "shop.example.com:65536", "shop.example.com:-1",
		"shop.example.com:80:80", "[::1", "[::1]x", "[]", "[::g]", "[1:2]", "[v1.a]", "[fe80::1%25eth0]", "a%2eb", "a,b", "a\\b", "sh\"op", "shop.example.com;a",
	}
	cases := every("absolute form", wrong, func(name, v string) Case { return line(name, 400, "GET http://"+v+"/a HTTP/1.1") })
	connect := every("CONNECT", []string{"/", "*", "shop.example.com", "http://shop.example.com/", "user@shop.example.com:443", "shop.example.com:443/a"}, func(name, v string) Case {
		return line(name, 400, "CONNECT "+v+" HTTP/1.1")
	})
	return append(append(cases, connect...),
		line("absolute form", 0, "GET http://other.example.com/a?b HTTP/1.1").host("other.example.com"),
		line("absolute form with a port", 0, "GET HTTP://other.example.com:8080 HTTP/1.1").host("other.example.com:8080"),
		line("absolute form without a path", 0, "GET https://other.example.com?b HTTP/1.1").host("other.example.com"),
		line("absolute form of OPTIONS *", 0, "OPTIONS http://other.example.com HTTP/1.1").host("other.example.com"),
		raw("absolute form without Host", 400, "GET http://other.example.com/ HTTP/1.1\r\n\r\n"),
		raw("absolute form with a wrong Host", 400, "GET http://other.example.com/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
		raw("absolute form with two Hosts", 400, "GET http://other.example.com/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
	)
}
