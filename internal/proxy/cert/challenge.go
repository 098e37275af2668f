package cert

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are the questions of authorities that are open now. They are in
// memory for this process and in a Shared for the others: an authority asks
// whichever proxy its connection reaches.
type challenges struct {
	shared Shared
	asks   *bucket // bounds how often strangers can make us look into shared

	mu   sync.Mutex
	open map[string]acme.Challenge // by key
}

func newChallenges(shared Shared) *challenges {
	return &challenges{shared: shared, asks: newBucket(lookups, lookups), open: map[string]acme.Challenge{}}
}

// lookups is how many challenges a second are looked up in a Shared.
const lookups = 50

// solver answers one type of challenge.
type solver struct {
	of *challenges
}

var _ acmez.Solver = solver{}

// validToken reports whether a token can be one of RFC 8555, section 8.3. An
// expression would cost a millisecond at every start of the proxy.
func validToken(token string) bool {
	return token != "" && len(token) <= 256 && strings.IndexFunc(token, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-'
	}) < 0
}

// challengeKey is where a challenge is kept: an authority asks for a token over
// HTTP and for a name over TLS.
func challengeKey(kind, asked string) string { return "challenges/" + kind + "/" + asked }

func keyOf(c acme.Challenge) (string, error) {
	if c.Type == acme.ChallengeTypeHTTP01 {
		if !validToken(c.Token) {
			return "", errors.New("the authority's token is none of RFC 8555")
		}
		return challengeKey(c.Type, c.Token), nil
	}
	if !validHost(c.Identifier.Value) {
		return "", fmt.Errorf("%q is no name that can be asked for", c.Identifier.Value)
	}
	return challengeKey(c.Type, c.Identifier.Value), nil
}

// Present makes the answer ready before the authority is told to ask.
func (s solver) Present(ctx context.Context, c acme.Challenge) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	s.of.mu.Lock()
	s.of.open[key] = c
	s.of.mu.Unlock()
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.of.shared.Store(ctx, key, data)
}

// CleanUp forgets it, also when ctx has ended.
func (s solver) CleanUp(ctx context.Context, c acme.Challenge) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	s.of.mu.Lock()
	delete(s.of.open, key)
	s.of.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	return s.of.shared.Delete(ctx, key)
}

func (c *challenges) find(ctx context.Context, key string) (acme.Challenge, bool) {
	c.mu.Lock()
	open, ok := c.open[key]
	c.mu.Unlock()
	if ok || !c.asks.take() {
		return open, ok
	}
	data, _, err := c.shared.Load(ctx, key)
	if err != nil {
		return acme.Challenge{}, false
	}
	return open, json.Unmarshal(data, &open) == nil && open.KeyAuthorization != ""
}

// challengePath is below which authorities ask over HTTP.
const challengePath = "/.well-known/acme-challenge/"

// http answers a request on port 80.
func (c *challenges) http(ctx context.Context, host, path string) (string, bool) {
	token, ok := strings.CutPrefix(path, challengePath)
	if !ok || !validToken(token) {
		return "", false
	}
	open, ok := c.find(ctx, challengeKey(acme.ChallengeTypeHTTP01, token))
	if !ok || !strings.EqualFold(open.Identifier.Value, host) || open.Token != token {
		return "", false
	}
	return open.KeyAuthorization, true
}

// tls answers a handshake with the protocol acme-tls/1.
func (c *challenges) tls(ctx context.Context, host string) (*tls.Certificate, error) {
	open, ok := c.find(ctx, challengeKey(acme.ChallengeTypeTLSALPN01, host))
	if !ok {
		return nil, fmt.Errorf("no challenge is open for %q", host)
	}
	return acmez.TLSALPN01ChallengeCert(open)
}
