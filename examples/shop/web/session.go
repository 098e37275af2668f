package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

const cookieName = "shop_session"

// session returns the id in the customer's cookie, "" if there is none that
// this shop has signed.
func (s *Server) session(r *http.Request) string {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return verify(s.config.SessionKey, cookie.Value)
}

// startSession returns the customer's session and begins one if needed.
func (s *Server) startSession(w http.ResponseWriter, r *http.Request) string {
	if id := s.session(r); id != "" {
		return id
	}
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: sign(s.config.SessionKey, id), Path: "/",
		MaxAge: 30 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return id
}

func sign(key, id string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	return id + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func verify(key, value string) string {
	id, _, ok := strings.Cut(value, ".")
	if !ok || id == "" || !hmac.Equal([]byte(sign(key, id)), []byte(value)) {
		return ""
	}
	return id
}
