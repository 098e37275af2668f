package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

const (
	ownPrefix     = "/.noon"
	previewPath   = ownPrefix + "/preview/"
	previewHeader = "Noon-Preview"
	previewCookie = "noon_preview"
)

// ownCookies is how the names of noon's own cookies begin.
const ownCookies = "noon_"

// preview finds the revision of a token among the sites of a host name. Every
// token is compared, and in constant time.
func (t *hostTable) preview(token string) (*siteView, *revisionView) {
	sum := sha256.Sum256([]byte(token))
	var site *siteView
	var view *revisionView
	for _, s := range t.sites {
		for i := range s.previews {
			if subtle.ConstantTimeCompare(sum[:], s.previews[i].sum[:]) == 1 {
				site, view = s, s.previews[i].view
			}
		}
	}
	return site, view
}

// servePreview answers GET /.noon/preview/TOKEN: it lets a browser see the
// release of the token from now on; without a token it ends that.
func (p *Proxy) servePreview(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writePage(w, r, http.StatusMethodNotAllowed, "Only GET is answered here.")
		return
	}
	token := strings.TrimPrefix(r.URL.Path, previewPath)
	cookie := http.Cookie{Name: previewCookie, Value: token, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode}
	if token == "" {
		cookie.MaxAge = -1
	} else if !p.knowsPreview(r, token) {
		writePage(w, r, http.StatusNotFound, unknownPreview)
		return
	}
	w.Header().Set("Set-Cookie", cookie.String())
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Proxy) knowsPreview(r *http.Request, token string) bool {
	table := p.snap.Load().table(normalHost(r.Host))
	if table == nil {
		return false
	}
	site, _ := table.preview(token)
	return site != nil
}

// readCookieLine gives the line without noon's own cookies, everything else
// as it was.
func readCookieLine(line string, q *query) string {
	var kept []string
	for part := range strings.SplitSeq(line, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case previewCookie:
			// An unreadable token stays one that nobody knows: falling back to the
			// live release would show the wrong one.
			q.preview = value
			if value == "" {
				q.preview = "\x00"
			}
		case visitorCookie:
			if len(value) <= maxVisitor {
				q.id = value
			}
		default:
			kept = append(kept, part)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ";"))
}
