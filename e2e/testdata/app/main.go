// Command app is the application that the tests deploy. It starts in a few
// milliseconds, names its release in every answer, and writes a line to the
// file EFFECTS for everything it does that must not happen twice.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("want a command")
	}
	switch args[0] {
	case "web":
		return web()
	case "worker":
		return worker()
	case "task":
		return task(args[1], args[2:])
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// mode is what this release is like: "ok", "crash", "hang", "redirect",
// "unready", "broken".
func mode() string {
	data, err := os.ReadFile("mode")
	if err != nil {
		return "ok"
	}
	return strings.TrimSpace(string(data))
}

func web() error {
	is := mode()
	if is == "crash" {
		return errors.New("this release can not start")
	}
	fmt.Printf("web of %s on port %s\n", os.Getenv("NOON_RELEASE"), os.Getenv("PORT"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: routes(is)}
	done := make(chan error, 1)
	go func() { done <- srv.ListenAndServe() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return srv.Shutdown(grace)
}

func routes(is string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		switch is {
		case "hang":
			<-r.Context().Done()
		case "redirect":
			http.Redirect(w, r, "/login", http.StatusFound)
		case "unready":
			http.Error(w, "the database is asleep", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if is == "broken" {
			http.Error(w, "nothing works", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "hello from %s", os.Getenv("NOON_RELEASE"))
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d bytes", n)
	})
	mux.HandleFunc("POST /order", order)
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.FormValue("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(wait)
		fmt.Fprint(w, "slow")
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv(r.FormValue("name")))
	})
	mux.HandleFunc("POST /say", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Printf("said: %s\n", text)
	})
	mux.HandleFunc("POST /die", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("last words:", r.FormValue("words"))
		os.Exit(3)
	})
	return named(mux)
}

func named(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("App-Release", os.Getenv("NOON_RELEASE"))
		w.Header().Set("App-Pid", strconv.Itoa(os.Getpid()))
		h.ServeHTTP(w, r)
	})
}

func worker() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Printf("worker of %s\n", os.Getenv("NOON_RELEASE"))
	<-ctx.Done()
	return nil
}

// task has the effect that its name says, then does what it is told: "fail",
// "hang", "await FILE".
func task(name string, then []string) error {
	if err := effect(name); err != nil {
		return err
	}
	fmt.Printf("%s was done for %s\n", name, os.Getenv("NOON_RELEASE"))
	if len(then) == 0 {
		return nil
	}
	switch then[0] {
	case "fail":
		return fmt.Errorf("%s does not like %s", name, os.Getenv("NOON_RELEASE"))
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "await":
		for {
			if _, err := os.Stat(then[1]); err == nil {
				return nil
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// effect appends one line: what, in which deployment, as which task, of which
// release. One write of a line this short is never mixed with another.
func effect(name string) error {
	f, err := os.OpenFile(os.Getenv("EFFECTS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s %s %s %d\n", name, orDash(os.Getenv("NOON_DEPLOYMENT")), os.Getenv("NOON_INSTANCE"), os.Getenv("NOON_REVISION"), time.Now().UnixMilli())
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
