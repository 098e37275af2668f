package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/http"

	"github.com/noon-deploy/noon"
)

// visitorCookie keeps a visitor with one release while several have a share.
const visitorCookie = "noon_visitor"

const (
	maxVisitor = 64                // bytes of an id that is believed
	visitorAge = 30 * 24 * 60 * 60 // seconds
)

func newVisitor() string { return rand.Text() }

// bucket spreads ids evenly over PointsWhole buckets, whatever the ids look
// like. The salt changes with the newest revision, so that the first to meet a
// new release are not always the same people.
func bucket(salt, id string) int {
	var buf [192]byte
	sum := sha256.Sum256(append(append(buf[:0], salt...), id...))
	return int(binary.BigEndian.Uint64(sum[:8]) % noon.PointsWhole)
}

// byShare walks the shares in the order of revisions: when the share of the
// newest grows, everybody who had it keeps it.
func byShare(shares []share, bucket int) *revisionView {
	for _, s := range shares {
		if bucket < s.points {
			return s.view
		}
		bucket -= s.points
	}
	return shares[len(shares)-1].view
}

func (q *query) visitorCookie(secure bool) string {
	c := http.Cookie{
		Name: visitorCookie, Value: q.id, Path: "/", MaxAge: visitorAge,
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	return c.String()
}
