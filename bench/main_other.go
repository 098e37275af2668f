//go:build !linux

// Bench measures noon's proxy beside its peers. What it reads of the kernel
// only Linux has.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: the proxies are measured on Linux only")
	os.Exit(1)
}
