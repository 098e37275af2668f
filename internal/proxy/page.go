package proxy

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

const unknownPreview = "No release can be previewed with this token. It may have been deployed or withdrawn."

// refusal is a request that belongs nowhere.
type refusal struct {
	verdict verdict
	site    *siteView // nil if there is none
}

func (r *refusal) Error() string { _, text := r.page(); return text }

func (r *refusal) page() (int, string) {
	switch r.verdict {
	case unknownView:
		return http.StatusNotFound, unknownPreview
	case unknownPath:
		return http.StatusNotFound, "No service answers for this path."
	case closedSite:
		text := r.site.closed.Text
		if text == "" {
			text = "This site is closed for a while. Please come back later."
		}
		return http.StatusServiceUnavailable, text
	case nothingLive:
		return http.StatusServiceUnavailable, "No release is live here yet."
	default:
		return http.StatusNotFound, "No application answers for this host name."
	}
}

// retryAfter is what clients are told to wait, in seconds.
const retryAfter = 2

// writeSitePage writes the site's own page for a status, if it has one and the
// client takes it.
func (p *Proxy) writeSitePage(w http.ResponseWriter, r *http.Request, site *siteView, status int, text string) {
	if site == nil || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		writePage(w, r, status, text)
		return
	}
	body, ok := site.rules.Pages.Page(status)
	if !ok {
		writePage(w, r, status, text)
		return
	}
	writeBody(w, r, status, "text/html; charset=utf-8", body)
}

// writePage writes a short page in the form that the client prefers.
func writePage(w http.ResponseWriter, r *http.Request, status int, text string) {
	title := http.StatusText(status)
	kind, body := "text/plain; charset=utf-8", fmt.Sprintf("%d %s\n%s\n", status, title, text)
	switch accept := r.Header.Get("Accept"); {
	case strings.Contains(accept, "text/html"):
		kind = "text/html; charset=utf-8"
		body = fmt.Sprintf(pageHTML, status, html.EscapeString(title), html.EscapeString(title), html.EscapeString(text))
	case strings.Contains(accept, "json"):
		kind = "application/json"
		data, err := json.Marshal(map[string]any{"status": status, "error": text})
		if err != nil {
			data = []byte("{}") // not reached: an int and a string
		}
		body = string(data) + "\n"
	}
	writeBody(w, r, status, kind, []byte(body))
}

func writeBody(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left needs no page
	}
}

const pageHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%d %s</title>
<style>body{font:18px/1.5 system-ui,sans-serif;max-width:34em;margin:20vh auto;padding:0 1em;color:#333}</style></head>
<body><h1>%s</h1><p>%s</p></body></html>
`
