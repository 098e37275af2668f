package host_test

func hostMain([]string) int { return 0 }
