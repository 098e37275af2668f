package web

import (
	"net/http"
	"strconv"

	"github.com/noon-deploy/noon/examples/shop/store"
)

// maxForm is the longest body of a form or a JSON request.
const maxForm = 64 << 10

func (s *Server) cart(w http.ResponseWriter, r *http.Request) {
	cart, err := s.store.Cart(r.Context(), s.session(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "cart", cart)
}

// changeCart adds pieces of a product, or takes the product out if the
// quantity is 0.
func (s *Server) changeCart(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, &badRequestError{"The form could not be read."})
		return
	}
	quantity, err := strconv.ParseInt(r.PostForm.Get("quantity"), 10, 64)
	if err != nil || quantity < 0 || quantity > store.MaxQuantity {
		s.fail(w, r, &badRequestError{"How many? A number from 1 to 99."})
		return
	}
	session, slug := s.startSession(w, r), r.PostForm.Get("product")
	if quantity == 0 {
		err = s.store.RemoveFromCart(r.Context(), session, slug)
	} else {
		err = s.store.AddToCart(r.Context(), session, slug, quantity)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}
