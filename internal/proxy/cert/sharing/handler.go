package sharing

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"github.com/noon-deploy/noon"
)

// Handler offers a place.
func Handler(p Place) http.Handler {
	mux := http.NewServeMux()
	offer := func(path string, call func(context.Context, request) (answer, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { serve(w, r, call) })
	}
	offer("/load", func(ctx context.Context, r request) (a answer, err error) {
		a.Value, a.Modified, err = p.Load(ctx, r.Key)
		return a, err
	})
	offer("/store", func(ctx context.Context, r request) (answer, error) { return answer{}, p.Store(ctx, r.Key, r.Value) })
	offer("/delete", func(ctx context.Context, r request) (answer, error) { return answer{}, p.Delete(ctx, r.Key) })
	offer("/list", func(ctx context.Context, r request) (a answer, err error) {
		a.Keys, err = p.List(ctx, r.Key)
		return a, err
	})
	offer("/lock", func(ctx context.Context, r request) (a answer, err error) {
		a.Mine, err = p.Lock(ctx, r.Key, r.Holder, r.TTL)
		return a, err
	})
	return mux
}

func serve(w http.ResponseWriter, r *http.Request, call func(context.Context, request) (answer, error)) {
	var in request
	var out answer
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largest)).Decode(&in)
	if err != nil {
		err = &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: r.URL.Path, Err: err, Hint: "Do the parts of noon have neighbouring versions?"}
	} else {
		out, err = call(r.Context(), in)
	}
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_ = json.NewEncoder(w).Encode(out) // whoever has left asks again
		return
	}
	told := noon.AsError(err)
	if errors.Is(err, fs.ErrNotExist) {
		told.Kind = noon.NotFound
	}
	w.WriteHeader(told.Kind.HTTPStatus())
	_ = json.NewEncoder(w).Encode(told)
}
