package process

import "syscall"

func moveByCopy(pipe, file int) (int, error) {
	buf := make([]byte, 64<<10)
	n, err := syscall.Read(pipe, buf)
	if err != nil || n <= 0 {
		return 0, err
	}
	for done := 0; done < n; {
		w, err := syscall.Write(file, buf[done:n])
		if err != nil {
			return done, err
		}
		done += w
	}
	return n, nil
}
