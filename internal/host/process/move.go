package process

import "syscall"

// moveByCopy is for files that splice(2) can not write to. What was read and
// can not be written is lost.
func moveByCopy(pipe, file int) (moved, lost int, err error) {
	buf := make([]byte, 64<<10)
	n, err := syscall.Read(pipe, buf)
	if err != nil || n <= 0 {
		return 0, 0, err
	}
	for moved < n {
		w, err := syscall.Write(file, buf[moved:n])
		if err != nil {
			return moved, n - moved, err
		}
		moved += w
	}
	return moved, 0, nil
}
