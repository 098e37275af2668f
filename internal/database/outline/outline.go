package outline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/noon-deploy/noon"
)

// Of looks into the database of an address: postgres://, mariadb://, mysql:// or
// sqlite:FILE. Addresses of other kinds give no schema and no error. No error
// holds the address: there is a password in it.
func Of(ctx context.Context, address string) (noon.Schema, error) {
	scheme, _, _ := strings.Cut(address, ":")
	var s noon.Schema
	var err error
	switch scheme {
	case "postgres", "postgresql":
		s, err = postgres(ctx, address)
	case "mariadb", "mysql":
		s, err = mariadb(ctx, address)
	case "sqlite":
		s, err = sqlite(ctx, strings.TrimPrefix(address, "sqlite:"))
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look into the database: %w", withoutURL(err))
	}
	return s, nil
}

// withoutURL keeps an address out of an error.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// words joins what is not empty.
func words(parts ...string) string {
	var list []string
	for _, p := range parts {
		if p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, " ")
}

// when is a word that holds or does not.
func when(holds bool, word string) string {
	if holds {
		return word
	}
	return ""
}
