// Package runnertest is the conformance suite of [host.Runner]s, and the
// programs that tests run as instances.
package runnertest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// appWord begins the arguments by which a test binary becomes the App.
const appWord = "runnertest-app"

// Command gives the command of an App that does what words say.
func Command(words ...string) []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return append([]string{self, appWord}, words...)
}

// App is what tests run as instances: a test binary calls it first in its
// TestMain and exits with the code if it returns true. The words are
//
//	serve [status]   answer HTTP on HOST:PORT until a signal comes
//	redirect         answer every request with a redirect
//	hang             take requests and never answer
//	squat ADDRESS    listen there instead of on PORT
//	print N          write N numbered lines, then wait for a signal
//	tick N           write N numbered lines, one a millisecond, then wait
//	flood N [FILE]   write lines that sum up to N bytes, then wait or once FILE
//	say TEXT CODE    write a line and exit with the code
//	env              write the environment and exit
//	deaf             ignore SIGTERM
//	family           start children, one in a session of its own, write their
//	                 pids, then wait for a signal
//	wait             wait for a signal
//	eat N            use N bytes of memory, then wait
//	once FILE        append a line to FILE, then wait
func App(args []string) (int, bool) {
	if len(args) < 2 || args[0] != appWord {
		return 0, false
	}
	return act(args[1], args[2:]), true
}

func act(word string, args []string) int {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	await := func() int { return await(asked) }
	switch word {
	case "serve", "redirect", "hang", "squat":
		return serve(word, args, await)
	case "print", "tick", "flood":
		return write(word, args, await)
	case "say":
		fmt.Println(args[0])
		return number(args, 1)
	case "env":
		env := os.Environ()
		slices.Sort(env)
		fmt.Println(strings.Join(env, "\n"))
		return 0
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		signal.Reset(syscall.SIGINT)
		fmt.Println("deaf")
		select {}
	case "family":
		return family(await)
	case "eat":
		block := make([]byte, number(args, 0))
		for i := 0; i < len(block); i += 512 {
			block[i] = 1
		}
		fmt.Println("ate", len(block))
	case "once":
		return once(args[0], await)
	case "wait":
		fmt.Println("waiting")
	}
	return await()
}

func number(args []string, at int) int {
	if at >= len(args) {
		return 0
	}
	n, err := strconv.Atoi(args[at])
	if err != nil {
		fmt.Println(err)
		os.Exit(90)
	}
	return n
}

// await ends with the first signal, with code 0.
func await(asked <-chan os.Signal) int {
	<-asked
	fmt.Println("asked to stop")
	return 0
}

func serve(word string, args []string, await func() int) int {
	address := net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT"))
	if word == "squat" {
		address = args[0]
	}
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", address)
	if err != nil {
		fmt.Println("listen:", err)
		return 4
	}
	status := http.StatusOK
	if word == "serve" && len(args) > 0 {
		status = number(args, 0)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch word {
		case "redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "hang":
			<-r.Context().Done()
		default:
			w.WriteHeader(status)
			fmt.Fprintln(w, os.Getenv("NOON_INSTANCE"), os.Getpid())
		}
	})}
	fmt.Println("listening on", l.Addr())
	go func() { _ = srv.Serve(l) }()
	return await()
}

func write(word string, args []string, await func() int) int {
	n := number(args, 0)
	switch word {
	case "flood":
		out := bufio.NewWriter(os.Stdout)
		for line, sum := 0, 0; sum < n; line++ {
			k, _ := fmt.Fprintf(out, "line %d %s\n", line, strings.Repeat("x", 80))
			sum += k
		}
		if err := out.Flush(); err != nil {
			return 7
		}
		fmt.Println("flooded")
		if len(args) > 1 {
			return once(args[1], await)
		}
	default:
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for line := range n {
			if word == "tick" {
				<-tick.C
			}
			fmt.Println("line", line)
		}
		fmt.Println("printed")
	}
	return await()
}

func family(await func() int) int {
	for _, own := range []bool{false, true} {
		cmd := exec.Command(os.Args[0], appWord, "deaf") //nolint:noctx // it shall outlive everything
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: own}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return 5
		}
		fmt.Println("child", cmd.Process.Pid)
	}
	return await()
}

// once leaves a trace of every time it was started.
func once(file string, await func() int) int {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		fmt.Println(err)
		return 6
	}
	fmt.Println("once")
	return await()
}
