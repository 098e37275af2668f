package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// kind is a kind of error as the API answers it.
type kind struct {
	kind    noon.ErrorKind
	status  int
	meaning string
}

func kinds() []kind {
	return []kind{
		{noon.Invalid, http.StatusBadRequest, "what was asked for is wrong"},
		{noon.NotFound, http.StatusNotFound, "it does not exist"},
		{noon.Conflict, http.StatusConflict, "something else is in the way"},
		{noon.Stale, http.StatusConflict, "a newer controller has taken over"},
		{noon.Failure, http.StatusUnprocessableEntity, "it was tried and did not work"},
		{noon.Unavailable, http.StatusServiceUnavailable, "a part of noon can not be reached"},
		{noon.Internal, http.StatusInternalServerError, "a bug in noon or a broken machine"},
	}
}

// TestKindsHaveTheirStatus keeps the table of the reference true.
func TestKindsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(string(k.kind), func(t *testing.T) {
			t.Parallel()
			handler, err := api.NewHandler(api.Controller{Health: func(context.Context) (api.Health, error) {
				return api.Health{}, &noon.Error{Kind: k.kind, Err: errors.New("for the test")}
			}})
			if err != nil {
				t.Fatal(err)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/health", nil))
			if answer.Code != k.status {
				t.Errorf("status %d, want %d", answer.Code, k.status)
			}
		})
	}
}
