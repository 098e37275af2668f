package web

import (
	"net/http"

	"github.com/noon-deploy/noon/examples/shop/store"
)

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	products, err := s.store.Products(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "home", products)
}

type productPage struct {
	Product store.Product
	Images  []store.Image
}

func (s *Server) product(w http.ResponseWriter, r *http.Request) {
	p, err := s.store.Product(r.Context(), r.PathValue("slug"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	images, err := s.store.Images(r.Context(), p.ID, 4)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "product", productPage{Product: p, Images: images})
}

func (s *Server) support(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "support", nil)
}
