package web

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
)

// ordersPage is how many orders one answer of /orders.json holds.
const ordersPage = 1000

// orders lists orders for programs of the shop's owner:
// GET /orders.json?after=ID with the admin token.
func (s *Server) orders(w http.ResponseWriter, r *http.Request) {
	if s.config.AdminToken == "" {
		s.notFound(w, r)
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.config.AdminToken)) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "This needs the admin token."})
		return
	}
	var after int64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "after is not a number"})
			return
		}
	}
	orders, err := s.store.Orders(r.Context(), after, ordersPage)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"orders": orders, "more": len(orders) == ordersPage})
}
