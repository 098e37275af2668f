package mariadb_test

const childArg = "-reach"

func child() int { return 0 }
