package proxy

import (
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/noon-deploy/noon"
)

// The treatment of what net/http carries: as in treat.go.

// leadWeb is lead for what net/http carries.
func (p *Proxy) leadWeb(r *http.Request) http.HandlerFunc {
	snap := p.snap.Load()
	if snap.ruled == 0 {
		return nil
	}
	q := query{host: normalHost(r.Host), path: r.URL.Path}
	t, _ := snap.resolve(&q)
	a := asked{
		authority: r.Host, name: q.host, target: r.URL.RequestURI(), path: r.URL.EscapedPath(), query: r.URL.RawQuery,
		secure: r.TLS != nil, preview: r.Header.Get(previewHeader) != "", length: r.ContentLength,
	}
	if r.TLS != nil {
		a.serverName = r.TLS.ServerName
	}
	if handler := p.lead(t.site, a); handler != nil {
		return handler
	}
	if t.site != nil && t.site.traffic.Limits.Body > 0 {
		r.Body = http.MaxBytesReader(nil, r.Body, t.site.traffic.Limits.Body)
	}
	return nil
}

// treatRequest makes the request what the site wants its instances to be sent.
// Its endpoint is not known yet.
func (x *webExchange) treatRequest(r *httputil.ProxyRequest) {
	for name := range r.Out.Header {
		if strings.HasPrefix(name, "Noon-") || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" || name == "Forwarded" {
			r.Out.Header.Del(name)
		}
	}
	r.SetXForwarded()
}

// routed completes the request once it is known where it goes.
func (x *webExchange) routed(out *http.Request) {
	site, route := x.target.site, x.target.route
	out.Header = out.Header.Clone()
	if o := (webRequest{Request: x.in, query: &x.query}).origin(); o.Trusted {
		out.Header.Set("X-Forwarded-For", string(o.AppendFor(nil)))
		if proto := x.in.Header.Get("X-Forwarded-Proto"); proto == "https" || proto == "http" {
			out.Header.Set("X-Forwarded-Proto", proto)
		}
		if host := x.in.Header.Get("X-Forwarded-Host"); host != "" {
			out.Header.Set("X-Forwarded-Host", host)
		}
	}
	if !site.rules.Request.Empty() {
		for name := range out.Header {
			if site.rules.Request.Removes([]byte(name)) {
				out.Header.Del(name)
			}
		}
		for _, f := range site.rules.Request.Set() {
			out.Header.Set(f.Name, f.Value)
		}
	}
	if route.strip && route.prefix != "" {
		out.Header.Set("X-Forwarded-Prefix", route.prefix)
		u := *out.URL
		u.RawPath = stripped(u.EscapedPath(), len(route.prefix))
		if u.Path = strings.TrimPrefix(u.Path, route.prefix); u.Path == "" {
			u.Path = "/"
		}
		out.URL = &u
	}
}

// treatAnswer makes the answer what the site wants its users to be sent.
func (x *webExchange) treatAnswer(res *http.Response) {
	site := x.target.site
	for name := range res.Header {
		if strings.HasPrefix(name, "Noon-") || site.rules.Response.Removes([]byte(name)) {
			res.Header.Del(name)
		}
	}
	for _, f := range site.rules.Response.Set() {
		res.Header.Set(f.Name, f.Value)
	}
	if name, value, ok := strings.Cut(strings.TrimSpace(string(site.hsts)), ": "); ok && res.Request.TLS != nil {
		res.Header.Set(name, value)
	}
	res.Header.Set(releaseHeader, noon.ReleaseName(x.endpoint.Revision.Release))
}
