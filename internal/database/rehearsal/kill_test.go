package rehearsal_test

import "context"

const childAddress = "NOON_REHEARSAL_CHILD"

func child(context.Context, string) int { return 1 }
