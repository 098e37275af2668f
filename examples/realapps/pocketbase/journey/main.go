// Command journey does what a user of the notes does: it registers, logs in,
// writes a note, finds it, changes it, and writes one that it throws away.
// Without arguments it does so once; "journey loop" goes on until its input
// ends. Each time it prints one line of JSON: the note that is to stay, or the
// error.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// note is a record of the collection "notes".
type note struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title"`
	N     int    `json:"n"`
	Owner string `json:"owner,omitempty"`
}

type user struct {
	url    string
	client http.Client
	name   string
	token  string
	id     string
	notes  int
}

func main() {
	u := &user{
		url: strings.TrimSuffix(os.Getenv("SITE_URL"), "/"), client: http.Client{Timeout: time.Minute},
		name: fmt.Sprintf("smoke%dx%d", os.Getpid(), time.Now().UnixNano()),
	}
	if len(os.Args) < 2 {
		if !u.report() {
			os.Exit(1)
		}
		return
	}
	u.name = "user" + strings.TrimPrefix(u.name, "smoke")
	var over atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end, however it comes, is the sign
		over.Store(true)
	}()
	for !over.Load() {
		u.report()
		<-time.After(100*time.Millisecond + rand.N(200*time.Millisecond)) // as people do, and not as fast as it can
	}
}

// report goes through the journey and prints how it went.
func (u *user) report() bool {
	kept, err := u.journey()
	var line any = kept
	if err != nil {
		line = map[string]string{"error": err.Error()}
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(line)) == nil
}

func (u *user) journey() (note, error) {
	if err := u.logIn(); err != nil {
		return note{}, err
	}
	u.notes++
	written := note{Title: fmt.Sprintf("%s-%d", u.name, u.notes), N: 1, Owner: u.id}
	kept, err := u.write(written)
	if err != nil {
		return note{}, err
	}
	var found struct{ Items []note }
	query := "?filter=" + url.QueryEscape(fmt.Sprintf("title=%q", written.Title))
	if err := u.ask(http.MethodGet, "/api/collections/notes/records"+query, nil, http.StatusOK, &found); err != nil {
		return note{}, err
	}
	if len(found.Items) != 1 || found.Items[0] != kept {
		return note{}, fmt.Errorf("find %+v: there is %+v", kept, found.Items)
	}
	var changed note
	kept.N = 2
	if err := u.ask(http.MethodPatch, "/api/collections/notes/records/"+kept.ID, map[string]int{"n": 2}, http.StatusOK, &changed); err != nil {
		return note{}, err
	}
	if changed != kept {
		return note{}, fmt.Errorf("change %+v: it became %+v", kept, changed)
	}
	return kept, u.throwAway()
}

// logIn registers once, and from then on shows the token for a fresh one: who
// is logged in stays so.
func (u *user) logIn() error {
	var in struct {
		Token  string
		Record struct{ ID string }
	}
	if u.token != "" {
		err := u.ask(http.MethodPost, "/api/collections/users/auth-refresh", map[string]string{}, http.StatusOK, &in)
		u.token = in.Token
		return err
	}
	const password = "only-for-a-journey"
	address := u.name + "@example.com"
	account := map[string]string{"email": address, "password": password, "passwordConfirm": password}
	if err := u.ask(http.MethodPost, "/api/collections/users/records", account, http.StatusOK, nil); err != nil {
		return err
	}
	login := map[string]string{"identity": address, "password": password}
	err := u.ask(http.MethodPost, "/api/collections/users/auth-with-password", login, http.StatusOK, &in)
	u.token, u.id = in.Token, in.Record.ID
	return err
}

func (u *user) write(n note) (note, error) {
	var written note
	if err := u.ask(http.MethodPost, "/api/collections/notes/records", n, http.StatusOK, &written); err != nil {
		return note{}, err
	}
	n.ID = written.ID
	if written != n {
		return note{}, fmt.Errorf("write %+v: it became %+v", n, written)
	}
	return written, nil
}

func (u *user) throwAway() error {
	n, err := u.write(note{Title: "draft of " + u.name, N: 1, Owner: u.id})
	if err != nil {
		return err
	}
	path := "/api/collections/notes/records/" + n.ID
	return errors.Join(u.ask(http.MethodDelete, path, nil, http.StatusNoContent, nil), u.ask(http.MethodGet, path, nil, http.StatusNotFound, nil))
}

// ask sends one request and wants that status and, if into is set, JSON.
func (u *user) ask(method, path string, body any, status int, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, u.url+path, bytes.NewReader(data)) //nolint:noctx // the client has a limit of time
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", u.token)
	res, err := u.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode != status {
		return fmt.Errorf("%s %s: %s: %.200s", method, path, res.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
