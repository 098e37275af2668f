package main

import "github.com/noon-deploy/noon/internal/cli"

// parts is what this build of noon is made of.
func parts() cli.Parts { return cli.Parts{} }
