// Package api is the HTTP interface of the controller: the types both sides
// share, the server, the client and the OpenAPI document. It listens on a unix
// socket; who may open the socket may do everything.
//
// Errors are JSON noon.Error values; the status code follows from their kind.
// Long answers (logs, events) are streams of JSON values, one a line.
package api

//go:generate go test . -run ^TestDocument$ -update
