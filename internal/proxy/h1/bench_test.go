package h1_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

const minimal = "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"

const browser = "GET /products/42?sort=price&page=2 HTTP/1.1\r\n" +
	"Host: shop.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Referer: https://shop.example.com/products?sort=price\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; visitor=fedcba9876543210fedcba98\r\n" +
	"\r\n"

const answer = "HTTP/1.1 200 OK\r\n" +
	"Date: Mon, 03 Aug 2026 10:00:00 GMT\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 200\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Etag: \"0123456789abcdef\"\r\n" +
	"\r\n"

func benchmarkRequest(b *testing.B, raw string) {
	b.Helper()
	buf := []byte(raw)
	var r h1.Request
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if n, err := r.Parse(buf); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkRequestMinimal(b *testing.B) { benchmarkRequest(b, minimal) }
func BenchmarkRequestBrowser(b *testing.B) { benchmarkRequest(b, browser) }

func BenchmarkResponse(b *testing.B) {
	buf := []byte(answer)
	var r h1.Response
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if n, err := r.Parse(buf, false); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func benchmarkDecode(b *testing.B, chunks, size int) {
	b.Helper()
	var raw []byte
	for range chunks {
		raw = h1.AppendChunkSize(raw, size)
		raw = append(raw, strings.Repeat("x", size)+"\r\n"...)
	}
	raw = h1.AppendLastChunk(raw, nil)
	buf := make([]byte, len(raw))
	var c h1.Chunked
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		copy(buf, raw)
		c.Reset()
		if p, n, done, err := c.Decode(buf); len(p) != chunks*size || n != len(raw) || !done || err != nil {
			b.Fatal(len(p), n, done, err)
		}
	}
}

func BenchmarkDecodeOneChunk16K(b *testing.B)   { benchmarkDecode(b, 1, 16<<10) }
func BenchmarkDecodeChunks64x256(b *testing.B)  { benchmarkDecode(b, 64, 256) }
func BenchmarkDecodeChunks1024x16(b *testing.B) { benchmarkDecode(b, 1024, 16) }
