package h1test

import "strings"

func lengths() []Case {
	wrong := []string{
		"", "+5", "-5", "-0", "5 ", "0x5", "5.0", "5e0", "5, 5", "5,5", "5,", ",5", "5 5", "5;", "\"5\"", "five", "5a", "٥", "5\x005", "5_0", " ", "1e1", "0b1", "NaN", "5\t6",
		"9223372036854775808", "18446744073709551616", "18446744073709551621", "99999999999999999999999999", "340282366920938463463374607431768211461",
	}
	var cases []Case
	for _, c := range every("Content-Length", wrong, func(name, v string) Case { return post(name, 400, "Content-Length: "+v+"\r\n", "hello") }) {
		if strings.Contains(c.Name, `"5 "`) { // a blank at the end is none of the value
			c = Case{Name: c.Name, Raw: c.Raw, Host: Site, Body: "hello"}
		}
		cases = append(cases, c)
	}
	return append(cases,
		post("two lengths", 400, "Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
		post("the same length twice", 400, "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
		post("two lengths in two cases", 400, "Content-Length: 0\r\ncontent-length: 5\r\n", "hello"),
		raw("a wrong length of a GET", 400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
		raw("a length with a carriage return", 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r0\r\n\r\nhello"),
	)
}

func transfers() []Case {
	wrong := []string{
		"", "chunked, chunked", "chunked,", ",chunked", "gzip, chunked", "chunked, gzip", "chunked, identity", "identity, chunked", "chunked;q=1", "\"chunked\"", "'chunked", "chunked chunked",
		"chunked\x00", "\x0bchunked", "chunked\x0c", "chun\x00ked", "chunked\x85", "\xa0chunked", "chu\tnked", "chunked;", ";chunked", "(chunked)", "chunked\x7f",
	}
	cases := every("Transfer-Encoding", wrong, func(name, v string) Case {
		status := 400
		if v == "'chunked" { // a token, if a strange one
			status = 501
		}
		return post(name, status, "Transfer-Encoding: "+v+"\r\n", "0\r\n\r\n")
	})
	unknown := every("Transfer-Encoding", []string{"gzip", "identity", "xchunked", "chunkedx", "chunke", "deflate", "x-chunked", "chunked_", "null", "cow"}, func(name, v string) Case {
		return post(name, 501, "Transfer-Encoding: "+v+"\r\n", "0\r\n\r\n")
	})
	right := every("Transfer-Encoding", []string{"CHUNKED", "Chunked", "\tchunked", "chunked \t", "   chunked"}, func(name, v string) Case {
		return post(name, 0, "Transfer-Encoding: "+v+"\r\n", "0\r\n\r\n")
	})
	cases = append(append(cases, unknown...), right...)
	return append(cases,
		post("two Transfer-Encodings", 400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		post("TE.TE with another one behind", 400, "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", "0\r\n\r\n"),
		post("TE.TE with another one before", 400, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		raw("Transfer-Encoding in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		raw("Transfer-Encoding and keep-alive in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		raw("a chunked GET", 0, "GET / HTTP/1.1\r\nHost: "+Site+"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").body("hello").rest(next),
	)
}

// Content-Length and Transfer-Encoding together.
func conflicts() []Case {
	hidden := "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	return []Case{
		post("CL.TE", 400, "Content-Length: "+length(hidden)+"\r\nTransfer-Encoding: chunked\r\n", hidden),
		post("TE.CL", 400, "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"),
		post("CL.TE with zero", 400, "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", hidden),
		post("TE.CL in other cases", 400, "tRANSFER-ENCODING: chunked\r\ncontent-LENGTH: 4\r\n", hidden),
		post("CL with an unknown coding", 400, "Content-Length: 4\r\nTransfer-Encoding: xchunked\r\n", hidden),
		post("CL with two codings", 400, "Content-Length: 4\r\nTransfer-Encoding: gzip, chunked\r\n", hidden),
		post("CL with a wrong length and chunked", 400, "Content-Length: x\r\nTransfer-Encoding: chunked\r\n", hidden),
		post("CL.TE with a blank before the colon", 400, "Content-Length: 4\r\nTransfer-Encoding : chunked\r\n", hidden),
		post("CL.TE with a carriage return", 400, "Content-Length: 4\r\nX: y\rTransfer-Encoding: chunked\r\n", hidden),
		post("CL.TE with a fold", 400, "Content-Length: 4\r\nX: y\r\n Transfer-Encoding: chunked\r\n", hidden),
		post("CL.TE with an empty coding", 400, "Content-Length: 4\r\nTransfer-Encoding:\r\n", hidden),
		raw("CL.TE in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"+hidden),
		raw("CL.TE of a GET", 400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"+hidden),
		post("CL.TE with both named by Connection", 400, "Connection: content-length\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n", hidden),
	}
}

func chunkSizes() []Case {
	wrong := []string{
		"", " ", "+5", "-5", "0x5", "5 ", " 5", "\t5", "5\t", "5h", "g", "5,", "5.0", "5_", "x", "\x005", "5\x00", "5\x0b", "5 ;a", "5\xa0", "0X5", "'5'", "5#",
		"00000000000000005", "8000000000000000", "ffffffffffffffff", "10000000000000005", "f0000000000000005", "fffffffffffffffff",
	}
	cases := every("chunk size", wrong, func(name, v string) Case { return chunked(name, 400, v+"\r\nhello\r\n0\r\n\r\n") })
	return append(cases,
		chunked("16 digits", 0, "0000000000000005\r\nhello\r\n0000\r\n\r\n").body("hello"),
		chunked("digits in both cases", 0, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n").body("01234567890123456789"),
		chunked("a size too small", 400, "3\r\nhello\r\n0\r\n\r\n"),
		chunked("a size too large by one", 400, "6\r\nhello\r\n0\r\n\r\n"),
	)
}

func chunkEnds() []Case {
	return []Case{
		chunked("a line feed after the size", 400, "5\nhello\r\n0\r\n\r\n"),
		chunked("a carriage return after the size", 400, "5\rhello\r\n0\r\n\r\n"),
		chunked("two carriage returns after the size", 400, "5\r\r\nhello\r\n0\r\n\r\n"),
		chunked("a line feed after the data", 400, "5\r\nhello\n0\r\n\r\n"),
		chunked("a carriage return after the data", 400, "5\r\nhello\r0\r\n\r\n"),
		chunked("nothing after the data", 400, "5\r\nhello0\r\n\r\n"),
		chunked("a blank after the data", 400, "5\r\nhello \r\n0\r\n\r\n"),
		chunked("two bytes after the data", 400, "5\r\nhelloXX0\r\n\r\n"),
		chunked("an empty line between chunks", 400, "5\r\nhello\r\n\r\n0\r\n\r\n"),
		chunked("a line feed after the last chunk", 400, "5\r\nhello\r\n0\n\r\n"),
		chunked("a line feed for the end", 400, "5\r\nhello\r\n0\r\n\n"),
		chunked("a carriage return for the end", 400, "5\r\nhello\r\n0\r\n\rX"),
		chunked("no chunks but a request", 400, "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"),
	}
}

func extensions() []Case {
	return []Case{
		chunked("an extension", 0, "5;a=b\r\nhello\r\n0;c\r\n\r\n").body("hello"),
		chunked("a quoted extension", 0, "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n").body("hello"),
		chunked("an empty extension", 0, "5;\r\nhello\r\n0\r\n\r\n").body("hello"),
		chunked("a line feed in an extension", 400, "5;a\nhello\r\n0\r\n\r\n"),
		chunked("a line feed and a chunk in an extension", 400, "2;\nxx\r\n4c\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n0\r\n\r\n"),
		chunked("a carriage return in an extension", 400, "5;a\rb\r\nhello\r\n0\r\n\r\n"),
		chunked("a zero byte in an extension", 400, "5;a\x00\r\nhello\r\n0\r\n\r\n"),
		chunked("a long extension", 431, "5;"+strings.Repeat("a", 1<<10)+"\r\nhello\r\n0\r\n\r\n"),
		chunked("many extensions", 431, strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 20)+"0\r\n\r\n"),
		chunked("a blank behind the semicolon", 0, "5; a = b\r\nhello\r\n0\r\n\r\n").body("hello"),
	}
}

func trailers() []Case {
	const data = "5\r\nhello\r\n0\r\n"
	wrong := []string{"X\r\n", " X: y\r\n", "X : y\r\n", ": y\r\n", "X: y\n", "X: a\rb\r\n", "X: a\x00b\r\n", "X: a\r\n b\r\n", "X Y: z\r\n", "X\x80: y\r\n", "GET /hidden HTTP/1.1\r\n"}
	cases := every("trailer", wrong, func(name, v string) Case { return chunked(name, 400, data+v+"\r\n") })
	return append(cases,
		chunked("a trailer field", 0, data+"X-Checksum: abc\r\n\r\n").body("hello"),
		chunked("trailer fields that frame", 0, data+"Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil.example\r\n\r\n").body("hello").rest(next),
		chunked("trailer fields that authenticate", 0, data+"Authorization: Basic YTpi\r\nCookie: a=b\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\n\r\n").body("hello").
			gone("Authorization", "Cookie"),
		chunked("a long trailer", 431, data+"X: "+strings.Repeat("a", 9<<10)+"\r\n\r\n"),
		chunked("many trailer fields", 431, data+strings.Repeat("X: a\r\n", 129)+"\r\n"),
	)
}
