// Package sharing takes a place where proxies keep certificates over a unix
// socket: the controller offers its ledger, each proxy uses it.
//
// A call is a POST of JSON to the path of its name, and the answer is JSON; an
// error is a [noon.Error] with the status of its kind. Whoever may connect to
// the socket may read the keys of all certificates: it has to be its owner's
// alone.
package sharing

import (
	"context"
	"time"
)

// Place is what is shared: a cert.Shared. It has its five methods because it
// is the same contract, written again so that neither side imports the other.
type Place interface {
	Load(ctx context.Context, key string) (value []byte, modified time.Time, err error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) ([]string, error)
	Lock(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)
}

// What is sent and answered; a field that a call does not need is left out.
type (
	request struct {
		Key    string        `json:"key"`
		Value  []byte        `json:"value,omitempty"`
		Holder string        `json:"holder,omitempty"`
		TTL    time.Duration `json:"ttl,omitempty"`
	}
	answer struct {
		Value    []byte    `json:"value,omitempty"`
		Modified time.Time `json:"modified,omitzero"`
		Keys     []string  `json:"keys,omitempty"`
		Mine     bool      `json:"mine,omitempty"`
	}
)

// largest is how many bytes a call or its answer may have: a certificate with
// those of its authorities has some thousands.
const largest = 4 << 20
