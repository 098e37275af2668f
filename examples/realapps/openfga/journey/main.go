// Command journey does what a service that asks OpenFGA does: it makes a store
// with a model, grants two permissions, takes one back, and checks, reads and
// lists what is left. Without arguments it does so once; "journey loop" goes on
// until its input ends, as users with names of their own. Each time it prints one line of JSON: the permission
// that is to stay, or the error.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// model has documents with readers.
const model = `{"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "document",
	"relations": {"reader": {"this": {}}}, "metadata": {"relations": {"reader": {"directly_related_user_types": [{"type": "user"}]}}}}]}`

// tuple says that a user has a relation to an object.
type tuple struct {
	User     string `json:"user"`
	Relation string `json:"relation"`
	Object   string `json:"object"`
}

type grant struct {
	Store string `json:"store"`
	tuple
}

type service struct {
	url    string
	client http.Client
	user   string
	turns  int
}

func main() {
	s := &service{url: strings.TrimSuffix(os.Getenv("SITE_URL"), "/"), client: http.Client{Timeout: time.Minute}, user: "smoke"}
	if len(os.Args) < 2 {
		if !s.report() {
			os.Exit(1)
		}
		return
	}
	s.user = "ada"
	var over atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end, however it comes, is the sign
		over.Store(true)
	}()
	for !over.Load() {
		if !s.report() {
			<-time.After(200 * time.Millisecond) // as people do, and not as fast as it can
		}
	}
}

// report goes through the journey and prints how it went.
func (s *service) report() bool {
	kept, err := s.journey()
	var line any = kept
	if err != nil {
		line = map[string]string{"error": err.Error()}
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(line)) == nil
}

func (s *service) journey() (grant, error) {
	s.turns++
	var store struct{ ID string }
	if err := s.ask("/stores", map[string]string{"name": "journey"}, &store); err != nil {
		return grant{}, err
	}
	at := "/stores/" + store.ID
	var made struct {
		ID string `json:"authorization_model_id"`
	}
	if err := s.ask(at+"/authorization-models", json.RawMessage(model), &made); err != nil {
		return grant{}, err
	}
	ada := tuple{fmt.Sprintf("user:%s%d-%d", s.user, os.Getpid(), s.turns), "reader", "document:plan"}
	eve := tuple{"user:eve", "reader", "document:plan"}
	for _, change := range []map[string]any{
		{"writes": keys(ada, eve), "authorization_model_id": made.ID},
		{"deletes": keys(eve), "authorization_model_id": made.ID},
	} {
		if err := s.ask(at+"/write", change, nil); err != nil {
			return grant{}, err
		}
	}
	return grant{store.ID, ada}, s.look(at, ada, eve)
}

func keys(list ...tuple) map[string]any { return map[string]any{"tuple_keys": list} }

// look wants ada, and nobody else, to be a reader, whichever way it asks.
func (s *service) look(at string, ada, eve tuple) error {
	for _, t := range []tuple{ada, eve} {
		var answer struct{ Allowed bool }
		if err := s.ask(at+"/check", map[string]any{"tuple_key": t}, &answer); err != nil {
			return err
		}
		if answer.Allowed != (t == ada) {
			return fmt.Errorf("check %+v: %t", t, answer.Allowed)
		}
	}
	var list struct{ Objects []string }
	if err := s.ask(at+"/list-objects", map[string]string{"user": ada.User, "relation": "reader", "type": "document"}, &list); err != nil {
		return err
	}
	if len(list.Objects) != 1 || list.Objects[0] != ada.Object {
		return fmt.Errorf("%s can read %q", ada.User, list.Objects)
	}
	var read struct{ Tuples []struct{ Key tuple } }
	if err := s.ask(at+"/read", map[string]any{}, &read); err != nil {
		return err
	}
	if len(read.Tuples) != 1 || read.Tuples[0].Key != ada {
		return fmt.Errorf("the store holds %+v", read.Tuples)
	}
	return nil
}

// ask posts JSON and wants an answer of JSON.
func (s *service) ask(path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, s.url+path, bytes.NewReader(data)) //nolint:noctx // the client has a limit of time
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s: %.200s", path, res.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
