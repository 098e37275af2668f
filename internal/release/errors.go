package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/noon-deploy/noon"
)

// errAltered is the cause when bytes are not those their digest promises.
var errAltered = errors.New("the content does not match its digest")

// wrap makes an error of the file system or the context one that its reader
// can act on. Errors that already are keep their kind and hint.
func wrap(op, subject string, err error) error {
	var known *noon.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known) && known.Error() == err.Error():
		return known
	case errors.As(err, &known):
		return &noon.Error{Kind: known.Kind, Op: op, Subject: subject, Err: err, Hint: known.Hint}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &noon.Error{
			Kind: noon.Failure, Op: op, Subject: subject, Err: err,
			Hint: "The disk, a quota or a file size limit is exhausted. Nothing was stored; make room and try again.",
		}
	case errors.Is(err, os.ErrPermission):
		return &noon.Error{
			Kind: noon.Failure, Op: op, Subject: subject, Err: err,
			Hint: "noon needs to own this path and to be able to write to it.",
		}
	case errors.Is(err, errAltered):
		return &noon.Error{
			Kind: noon.Failure, Op: op, Subject: subject, Err: err,
			Hint: "The release was altered or damaged on its way or on this disk. Build or import it again; the same commit gives the same digest.",
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &noon.Error{Kind: noon.Failure, Op: op, Subject: subject, Err: err}
	}
	return &noon.Error{Kind: noon.Internal, Op: op, Subject: subject, Err: err}
}

// refused is the error about a file that can not be part of a release.
func refused(path, why, hint string) error {
	return &noon.Error{Kind: noon.Invalid, Op: "pack", Subject: path, Err: errors.New(why), Hint: hint}
}

func notFound(op, digest string) error {
	return &noon.Error{
		Kind: noon.NotFound, Op: op, Subject: digest, Err: errors.New("there is no such release here"),
		Hint: "It was never stored on this machine or has been pruned. Build or import it again.",
	}
}

func hostile(format string, args ...any) error {
	return &noon.Error{
		Kind: noon.Invalid, Op: "import release", Err: fmt.Errorf(format, args...),
		Hint: "The archive was not written by noon, was cut short or was altered. Export it again from where the release is stored.",
	}
}

func parseDigest(digest string) (v1.Hash, error) {
	h, err := v1.NewHash(digest)
	if err != nil || h.Algorithm != "sha256" {
		return v1.Hash{}, &noon.Error{
			Kind: noon.Invalid, Op: "read digest", Subject: fmt.Sprintf("%q", digest), Err: errors.New("it is not a sha256 digest"),
			Hint: "A digest is sha256: and 64 hexadecimal digits.",
		}
	}
	return h, nil
}
