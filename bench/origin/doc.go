//go:build linux

// Package origin is the back end behind every peer: it answers at so little
// cost that the proxy in front of it is what a run measures.
//
// Its paths: anything is answered with 200 bytes, /64k with 64 KiB; a body is
// read and forgotten; an upgrade to WebSocket gives an echo.
package origin
