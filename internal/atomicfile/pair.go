package atomicfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A pair is a file with room for its content twice. A write replaces the older
// copy, in blocks the file has already, so that it creates no file, changes no
// directory and needs one sync of data, where [Write] needs two. A copy is
//
//	noon-copy 1 <sha256 of what follows the blank> <number, 20 digits> <length, 10 digits>\n<content>
//
// and the one with the higher number is the content. A write that a crash or a
// power loss cut does not have its checksum, and the other copy is the content,
// as it was before.
const (
	copyMagic = "noon-copy 1 "
	copyHead  = len(copyMagic) + 2*sha256.Size + 1 + 20 + 1 + 10 + 1
	block     = 4 << 10 // room for a copy is a multiple of it, in bytes
	pairMost  = 64 << 20
)

// ErrDamaged is the error of a pair that has no whole copy.
var ErrDamaged = errors.New("its checksum does not match: it was cut or altered")

// ErrNoPair is the error of a file that does not begin like a pair.
var ErrNoPair = errors.New("it is not a file of two copies")

// pairFile is the part of an *os.File that writing a copy needs.
type pairFile interface {
	io.WriterAt
	syncData() error
}

// copyOf is one copy as it was found.
type copyOf struct {
	number  uint64
	content []byte // nil: it is not whole
}

// ReadPair reads the content of a pair.
func ReadPair(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := readAll(f)
	if err != nil {
		return nil, err
	}
	newest, _, err := newestOf(data)
	return newest.content, err
}

// Pair is a file of two copies and what its writer knows of it. One goroutine
// at a time uses it.
type Pair struct {
	path   string
	perm   os.FileMode
	number uint64 // of the newest copy; 0: nothing is known
	at     int    // which of both is the newest
	room   int    // bytes for each
	heads  [2][copyHead]byte
}

// NewPair is the pair at a path. A file that there is none of yet will have perm.
func NewPair(path string, perm os.FileMode) *Pair { return &Pair{path: path, perm: perm} }

// Write makes data the content, and makes the file if there is none, or none
// that can be used. When it returns nil the content outlasts a power loss. After
// an error the old content is in place.
func (p *Pair) Write(data []byte) error {
	if err := p.write(data); err != nil {
		p.number = 0
		return fmt.Errorf("write %s: %w", p.path, err)
	}
	return nil
}

// Content is what a pair is to hold.
type Content struct {
	Pair *Pair
	Data []byte
}

// WritePairs is Write for several pairs: what the disk has to be waited for is
// waited for together. It gives the error of each.
func WritePairs(all []Content) []error {
	errs := make([]error, len(all))
	if len(all) == 1 {
		errs[0] = all[0].Pair.Write(all[0].Data)
		return errs
	}
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { errs[i] = c.Pair.Write(c.Data) })
	}
	wg.Wait()
	return errs
}

func (p *Pair) write(data []byte) error {
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err == nil {
		defer func() { _ = f.Close() }() // what matters was synced
		if !p.known(f) {
			err = p.look(f)
		}
	}
	next := encodeCopy(p.number+1, data)
	if err != nil || len(next) > p.room {
		return p.replace(next)
	}
	other := 1 - p.at
	if err := overwrite(dataFile{f}, int64(other*p.room), next); err != nil {
		return err
	}
	p.number, p.at = p.number+1, other
	copy(p.heads[other][:], next)
	return nil
}

// replace makes the file anew, with room for more than a copy has.
func (p *Pair) replace(next []byte) error {
	room := (len(next) + len(next)/2 + block - 1) / block * block
	whole := make([]byte, 2*room)
	copy(whole, next)
	if err := replace(OS{}, p.path, whole, p.perm); err != nil {
		return err
	}
	p.number, p.at, p.room = p.number+1, 0, room
	p.heads = [2][copyHead]byte{[copyHead]byte(next)}
	return nil
}

// known reports whether the file is as it was left: another writer would have
// changed a number and a checksum.
func (p *Pair) known(f io.ReaderAt) bool {
	for i := range 2 {
		var head [copyHead]byte
		if n, err := f.ReadAt(head[:], int64(i*p.room)); p.number == 0 || n < len(head) || err != nil || head != p.heads[i] {
			return false
		}
	}
	return true
}

// look finds out what there is.
func (p *Pair) look(f *os.File) error {
	p.number = 0
	data, err := readAll(f)
	if err != nil {
		return err
	}
	newest, at, err := newestOf(data)
	if err != nil {
		return err
	}
	p.number, p.at, p.room = newest.number, at, len(data)/2
	for i := range 2 {
		copy(p.heads[i][:], data[i*p.room:])
	}
	return nil
}

// overwrite replaces the copy at an offset. After an error what may be there is
// no copy any more, as far as the disk still takes anything.
func overwrite(f pairFile, at int64, content []byte) error {
	_, err := f.WriteAt(content, at)
	if err == nil {
		err = f.syncData()
	}
	if err != nil {
		_, undone := f.WriteAt(make([]byte, copyHead), at)
		return errors.Join(err, undone)
	}
	return nil
}

func readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > pairMost {
		return nil, ErrNoPair
	}
	data := make([]byte, info.Size())
	_, err = f.ReadAt(data, 0)
	return data, err
}

// newestOf finds the content among the copies, and which of both it is.
func newestOf(data []byte) (newest copyOf, at int, err error) {
	half := len(data) / 2
	if magic := []byte(copyMagic); !bytes.HasPrefix(data, magic) && !bytes.HasPrefix(data[half:], magic) {
		return copyOf{}, 0, ErrNoPair
	}
	for i := range 2 {
		if c := decodeCopy(data[i*half : (i+1)*half]); c.content != nil && c.number > newest.number {
			newest, at = c, i
		}
	}
	if newest.content == nil || len(data)%(2*block) != 0 {
		return copyOf{}, 0, ErrDamaged
	}
	return newest, at, nil
}

func encodeCopy(number uint64, content []byte) []byte {
	signed := fmt.Appendf(nil, "%020d %010d\n%s", number, len(content), content)
	sum := sha256.Sum256(signed)
	return append(append(append([]byte(copyMagic), hex.EncodeToString(sum[:])...), ' '), signed...)
}

// decodeCopy reads what encodeCopy has written, whatever is behind it.
func decodeCopy(data []byte) copyOf {
	if len(data) < copyHead {
		return copyOf{}
	}
	var c copyOf
	var length int
	if _, err := fmt.Sscanf(string(data[len(copyMagic)+2*sha256.Size:copyHead]), "%d %d\n", &c.number, &length); err != nil || length < 0 || length > len(data)-copyHead {
		return copyOf{}
	}
	content := data[copyHead : copyHead+length]
	if bytes.Equal(encodeCopy(c.number, content), data[:copyHead+length]) {
		c.content = content
	}
	return c
}

// dataFile is an *os.File whose data alone can be synced.
type dataFile struct{ *os.File }
