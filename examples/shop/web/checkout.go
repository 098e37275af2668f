package web

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon/examples/shop/store"
)

// purchase is the checkout form, or its JSON.
type purchase struct {
	Key   string `json:"key"` // made with the form: sending it twice buys once
	Name  string `json:"name"`
	Email string `json:"email"`
	Test  bool   `json:"test"` // a check of the shop: JSON only, needs no cart and no key
}

type checkoutPage struct {
	Cart  store.Cart
	Form  purchase
	Error string
}

func (s *Server) checkoutForm(w http.ResponseWriter, r *http.Request) {
	cart, err := s.store.Cart(r.Context(), s.session(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(cart.Lines) == 0 {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return
	}
	s.render(w, r, http.StatusOK, "checkout", checkoutPage{Cart: cart, Form: purchase{Key: rand.Text()}})
}

// checkout stores an order. The answer names it; asking again with the same
// key gives the same order.
func (s *Server) checkout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form, err := readPurchase(r)
	if err == nil {
		err = form.check()
	}
	if err != nil {
		s.refuse(w, r, form, err)
		return
	}
	order, made, err := s.store.PlaceOrder(r.Context(), store.Purchase{
		Key: form.Key, Session: s.session(r), Name: form.Name, Email: form.Email, Test: form.Test,
	})
	switch {
	case err != nil:
		s.fail(w, r, err)
	case !wantsJSON(r):
		http.Redirect(w, r, fmt.Sprintf("/orders/%d", order.ID), http.StatusSeeOther)
	case made:
		writeJSON(w, http.StatusCreated, map[string]any{"order": order, "created": true})
	default:
		writeJSON(w, http.StatusOK, map[string]any{"order": order, "created": false})
	}
}

func readPurchase(r *http.Request) (purchase, error) {
	var p purchase
	if wantsJSON(r) {
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			return p, &badRequestError{"The request is not the JSON of an order."}
		}
		if p.Test && p.Key == "" {
			p.Key = "test-" + rand.Text()
		}
		return p, nil
	}
	if err := r.ParseForm(); err != nil {
		return p, &badRequestError{"The form could not be read."}
	}
	f := r.PostForm
	return purchase{Key: f.Get("key"), Name: f.Get("name"), Email: f.Get("email")}, nil
}

func (p *purchase) check() error {
	p.Name, p.Email = strings.TrimSpace(p.Name), strings.TrimSpace(p.Email)
	switch {
	case len(p.Key) < 16 || len(p.Key) > 100:
		return &badRequestError{"The order has no key. Please open the checkout again."}
	case p.Name == "" || len(p.Name) > 200:
		return &badRequestError{"Please tell us your name."}
	case !strings.Contains(p.Email, "@") || len(p.Email) > 200:
		return &badRequestError{"Please tell us an e-mail address."}
	}
	return nil
}

// refuse shows the form again with what is wrong in it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, form purchase, cause error) {
	var bad *badRequestError
	if wantsJSON(r) || !errors.As(cause, &bad) {
		s.fail(w, r, cause)
		return
	}
	cart, err := s.store.Cart(r.Context(), s.session(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if form.Key == "" {
		form.Key = rand.Text()
	}
	s.render(w, r, http.StatusBadRequest, "checkout", checkoutPage{Cart: cart, Form: form, Error: bad.message})
}

func (s *Server) order(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	session := s.session(r)
	if err != nil || session == "" {
		s.notFound(w, r)
		return
	}
	order, err := s.store.Order(r.Context(), session, id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "order", order)
}
