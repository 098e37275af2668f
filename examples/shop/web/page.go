package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strings"
)

//go:embed templates/*.html
var templates embed.FS

// pages are the parsed templates by name.
type pages map[string]*template.Template

// page is what every template gets.
type page struct {
	Release string
	InCart  int64
	Body    any
}

type errorPage struct {
	Status  int
	Message string
}

func parsePages(a *assets) (pages, error) {
	functions := template.FuncMap{"price": price, "asset": a.url}
	found := pages{}
	for _, name := range []string{"home", "product", "cart", "checkout", "order", "support", "error"} {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse template %s: %w", name, err)
		}
		found[name] = t
	}
	return found, nil
}

func price(cents int64) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

// render writes a whole page or, if the template fails, a whole error.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, body any) {
	p := page{Release: s.config.Release, Body: body}
	if session := s.session(r); session != "" {
		cart, err := s.store.Cart(r.Context(), session)
		if err != nil && status < http.StatusInternalServerError {
			s.fail(w, r, err)
			return
		}
		p.InCart = cart.Pieces
	}
	var out bytes.Buffer
	if err := s.pages[name].Execute(&out, p); err != nil {
		s.log.ErrorContext(r.Context(), "page failed", "page", name, "err", err)
		http.Error(w, "Something went wrong on our side. Please try again.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the customer has gone: nobody is left to tell
}

// wantsJSON reports whether the client is a program.
func wantsJSON(r *http.Request) bool {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		return true
	}
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the customer has gone: nobody is left to tell
}
