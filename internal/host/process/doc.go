// Package process runs instances as plain processes of the machine.
//
// Every process has a directory and a keeper, a small process of its own that
// starts it, copies its output to files, waits for it and writes down how it
// ended. Neither the host part nor a keeper needs to live for the process to
// go on, and everything that must be known is in the directory, so that a
// kill at any instant is followed by looking and going on:
//
//	about.json     what it is; the directory appears whole, by a rename
//	spec.json      how to start it, with its environment; gone once released
//	keeper.lock    locked by the one keeper
//	port           the reserved port
//	pid.json       made by the child itself, by link(2), before it becomes the
//	               process: whoever makes it is the only one ever started
//	stop.json      the order to stop
//	exit.json      how it ended
//	released       the host part has seen the exit; the port is free
//	control,events FIFOs by which host part and keeper wake each other
//	output/        pipe, the FIFO the process writes to, and the segments
//
// The process itself holds the output FIFO open for reading too, so that the
// death of a keeper neither raises SIGPIPE nor loses a line.
package process
