package h1test

import (
	"slices"
	"strings"
)

// Answers gives answers of instances, good and bad; each call makes new ones.
func Answers() []Answer {
	return slices.Concat(goodAnswers(), emptyAnswers(), statusLines(), framedAnswers(), badAnswers())
}

func reject(name, message string) Answer {
	return Answer{Name: name, Raw: []byte(message), Reject: true}
}

func answer(name, message, body, rest string) Answer {
	return Answer{Name: name, Raw: []byte(message + rest), Body: body, Rest: rest}
}

func (a Answer) closes() Answer { a.Close = true; return a }
func (a Answer) toHead() Answer { a.Head = true; return a }

func goodAnswers() []Answer {
	const more = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	return []Answer{
		answer("with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", more),
		answer("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", more),
		answer("chunked with a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nGrpc-Status: 0\r\n\r\n", "hello", more),
		answer("until the connection ends", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", "").closes(),
		answer("without a reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "", more),
		answer("without a reason and a blank", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", more),
		answer("bytes beyond ASCII in the reason", "HTTP/1.1 404 Nicht d\xe4\r\nContent-Length: 0\r\n\r\n", "", more),
		answer("a status that nobody knows", "HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", "", more),
		answer("Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", "").closes(),
		answer("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", "").closes(),
		answer("HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", "hello", more),
		answer("the same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello", more),
		answer("100 and another answer", "HTTP/1.1 100 Continue\r\n\r\n", "", more),
		answer("103 with fields", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", "", more),
	}
}

func emptyAnswers() []Answer {
	const more = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	return []Answer{
		answer("to HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", more).toHead(),
		answer("to HEAD, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", more).toHead(),
		answer("to HEAD without a length", "HTTP/1.1 200 OK\r\n\r\n", "", more).toHead(),
		answer("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", more),
		answer("204", "HTTP/1.1 204 No Content\r\n\r\n", "", more),
		answer("204 with a length of 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "", more),
		answer("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", "hello").closes(),
		answer("204, chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", "0\r\n\r\n").closes(),
		answer("101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "", "\x81\x00"),
	}
}

func statusLines() []Answer {
	var all []Answer
	for _, v := range []string{
		"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 2x0", "HTTP/1.1 -20", "HTTP/1.1  200", "HTTP/1.1\t200", "HTTP/1.1 099", "HTTP/1.1 000",
		"HTTP/2.0 200", "HTTP/1.2 200", "http/1.1 200", "HTTP/0.9 200", "ICY 200", "200 OK", " HTTP/1.1 200", "\r\nHTTP/1.1 200", "HTTP/1.1 200\tOK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 OK\n",
		"<html>", "SSH-2.0-x", "HTTP/1.1 200 " + strings.Repeat("a", 17<<10),
	} {
		all = append(all, reject("status line "+strings.TrimSpace(v[:min(len(v), 30)])+"|", v+"\r\nContent-Length: 0\r\n\r\n"))
	}
	for i := range all { // names are to differ where only blanks do
		all[i].Name += strings.Repeat(" ", i)
	}
	return all
}

func framedAnswers() []Answer {
	const ok = "HTTP/1.1 200 OK\r\n"
	return []Answer{
		reject("two lengths", ok+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
		reject("a list of lengths", ok+"Content-Length: 5, 5\r\n\r\nhello"),
		reject("a wrong length", ok+"Content-Length: +5\r\n\r\nhello"),
		reject("an empty length", ok+"Content-Length:\r\n\r\n"),
		reject("a length too large", ok+"Content-Length: 9223372036854775808\r\n\r\n"),
		reject("a length and chunked", ok+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		reject("another coding", ok+"Transfer-Encoding: gzip\r\n\r\n"),
		reject("two codings", ok+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
		reject("identity", ok+"Transfer-Encoding: identity\r\n\r\n"),
		reject("chunked twice", ok+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		reject("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		reject("a wrong length to 204", "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"),
	}
}

func badAnswers() []Answer {
	const ok = "HTTP/1.1 200 OK\r\n"
	return []Answer{
		reject("a fold", ok+"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
		reject("a blank before the colon", ok+"Content-Length : 0\r\n\r\n"),
		reject("a line feed", ok+"X: a\nContent-Length: 0\r\n\r\n"),
		reject("a carriage return", ok+"X: a\rb\r\nContent-Length: 0\r\n\r\n"),
		reject("a zero byte", ok+"X: a\x00b\r\nContent-Length: 0\r\n\r\n"),
		reject("no name", ok+": a\r\nContent-Length: 0\r\n\r\n"),
		reject("no colon", ok+"X\r\nContent-Length: 0\r\n\r\n"),
		reject("a blank first", ok+" X: a\r\nContent-Length: 0\r\n\r\n"),
		reject("too many fields", ok+strings.Repeat("X: a\r\n", 129)+"\r\n"),
		reject("line feeds only", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
	}
}
