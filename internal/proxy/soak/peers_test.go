package soak_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peer is another proxy, run as its manual says, under the same users. A
// switch is a reload with another instance: what all of them can do.
type peer struct {
	name    string
	binary  string
	config  func(dir, listen, instance string) string
	command func(binary, config string) []string
	reload  syscall.Signal
}

func peers() []peer {
	return []peer{
		{
			"HAProxy reload", "haproxy",
			func(_, listen, instance string) string {
				return fmt.Sprintf(`global
  maxconn 8000
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
  timeout tunnel 1h
frontend users
  bind %s
  default_backend app
backend app
  server one %s
`, listen, instance)
			},
			func(binary, config string) []string { return []string{binary, "-W", "-db", "-f", config} },
			syscall.SIGUSR2,
		},
		{
			"nginx reload", "nginx",
			func(dir, listen, instance string) string {
				return fmt.Sprintf(`daemon off;
user root;
worker_processes 2;
pid %[1]s/pid;
error_log %[1]s/error.log crit;
events { worker_connections 8000; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxied;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  upstream app { server %[3]s; keepalive 64; }
  server {
    listen %[2]s;
    client_max_body_size 0;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`, dir, listen, instance)
			},
			func(binary, config string) []string { return []string{binary, "-c", config, "-e", "stderr"} },
			syscall.SIGHUP,
		},
	}
}

// TestPeers runs the switches with other proxies, for the comparison. Their
// old instance is asked to stop a second after the reload was asked for, and
// finishes what it has by itself. What they lose is told, not judged.
func TestPeers(t *testing.T) {
	if os.Getenv(envPeers) == "" {
		t.Skip(envPeers + " is not set")
	}
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			binary, err := exec.LookPath(p.binary)
			if err != nil {
				t.Skip(err)
			}
			p.binary = binary
			p.run(t, size(t))
		})
	}
}

// run switches from instance to instance.
func (p peer) run(t *testing.T, s scale) {
	t.Helper()
	dir, listen, b := t.TempDir(), freeAddress(t), newBook()
	config, journal := filepath.Join(dir, "config"), filepath.Join(dir, "posts")
	var running []*running
	next := func(release int) {
		i, err := startInstance(self(t), instanceConfig{Release: release, Journal: journal})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.kill)
		running = append(running, i)
		if err := os.WriteFile(config, []byte(p.config(dir, listen, i.address)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next(1)
	cmd := p.start(t, config, listen)
	load, held := startLoad(listen, b, kinds(s), s.rate), startHolders(listen, b, s.streams)
	pause(t.Context(), s.pause)
	var ending sync.WaitGroup
	for n := range s.events {
		old := running[len(running)-1]
		next(n + 2)
		b.begun.Store(int64(n + 2))
		if err := cmd.Process.Signal(p.reload); err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), time.Second)
		b.acked.Store(int64(n + 2)) // a second later at the latest
		ending.Go(func() { _ = old.cmd.Process.Signal(syscall.SIGTERM); <-old.ended })
		pause(t.Context(), s.pause)
	}
	load.end(t)
	held.end(t)
	ending.Wait()
	row{fmt.Sprintf("%s, %d switches", p.name, s.events), b, vitals{}, vitals{}, "not judged"}.tell(t)
	for _, f := range b.failed(every)[:min(5, len(b.failed(every)))] {
		t.Log(f)
	}
}

// start runs the peer until the test ends, and returns when it answers.
func (p peer) start(t *testing.T, config, listen string) *exec.Cmd {
	t.Helper()
	argv := p.command(p.binary, config)
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(said.String())
		}
	})
	w := &wires{address: listen}
	eventually(t, p.name+" serves", patience, func() error {
		return w.ask(t.Context(), question{method: "GET", target: "/get?id=1&n=10", id: 1, want: 10, wantID: 1, fresh: true}).err
	})
	return cmd
}
