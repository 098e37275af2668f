package atomicfile_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

// page is how much of a write a disk keeps or loses together in this model.
const page = 8

// opKind tells operations of the log apart.
type opKind string

const (
	opCreate  opKind = "create"
	opWrite   opKind = "write"
	opChmod   opKind = "chmod"
	opFsync   opKind = "fsync"
	opRename  opKind = "rename"
	opRemove  opKind = "remove"
	opSyncDir opKind = "syncdir"
)

// op is one operation that reached the file system.
type op struct {
	kind     opKind
	name, to string // create, rename, remove: base names
	inode    int
	offset   int
	data     []byte
	perm     os.FileMode
}

// recorder does what it is told on the real file system and keeps a log of it.
// Its switches leave out what a careless writer would.
type recorder struct {
	atomicfile.OS
	log         []op
	skipSync    bool
	skipSyncDir bool
}

func (r *recorder) CreateTemp(dir, pattern string) (atomicfile.File, error) {
	f, err := r.OS.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	inode := 1 // 0 is the old file's
	r.log = append(r.log, op{kind: opCreate, name: filepath.Base(f.Name()), inode: inode})
	return &recordedFile{File: f, r: r, inode: inode}, nil
}

func (r *recorder) Rename(from, to string) error {
	r.log = append(r.log, op{kind: opRename, name: filepath.Base(from), to: filepath.Base(to)})
	return r.OS.Rename(from, to)
}

func (r *recorder) Remove(path string) error {
	r.log = append(r.log, op{kind: opRemove, name: filepath.Base(path)})
	return r.OS.Remove(path)
}

func (r *recorder) SyncDir(dir string) error {
	if r.skipSyncDir {
		return nil
	}
	r.log = append(r.log, op{kind: opSyncDir})
	return r.OS.SyncDir(dir)
}

type recordedFile struct {
	atomicfile.File
	r      *recorder
	inode  int
	offset int
}

func (f *recordedFile) Write(data []byte) (int, error) {
	for chunk := range slices.Chunk(data, page) {
		f.r.log = append(f.r.log, op{kind: opWrite, inode: f.inode, offset: f.offset, data: slices.Clone(chunk)})
		f.offset += len(chunk)
	}
	return f.File.Write(data)
}

func (f *recordedFile) Chmod(perm os.FileMode) error {
	f.r.log = append(f.r.log, op{kind: opChmod, inode: f.inode, perm: perm})
	return f.File.Chmod(perm)
}

func (f *recordedFile) Sync() error {
	if f.r.skipSync {
		return nil
	}
	f.r.log = append(f.r.log, op{kind: opFsync, inode: f.inode})
	return f.File.Sync()
}

// file and disk are what is found after the power came back.
type file struct {
	data []byte
	perm os.FileMode
}

type disk struct {
	names  map[string]int
	inodes map[int]file
}

func (d disk) clone() disk {
	return disk{names: maps.Clone(d.names), inodes: maps.Clone(d.inodes)}
}

// fates of an effect that was not synced.
type fate int

const (
	lost fate = iota
	kept
	torn   // the first half of a page
	zeroed // the size grew, the content did not arrive
)

// apply changes the disk by an operation with the given fate.
func (d disk) apply(o op, as fate) disk {
	if as == lost {
		return d
	}
	d = d.clone()
	switch o.kind {
	case opCreate:
		d.names[o.name] = o.inode
	case opRemove:
		delete(d.names, o.name)
	case opRename: // the name may have been lost, the file has it all the same
		d.names[o.to] = 1
		delete(d.names, o.name)
	case opChmod:
		f := d.inodes[o.inode]
		f.perm = o.perm
		d.inodes[o.inode] = f
	case opWrite:
		d.inodes[o.inode] = written(d.inodes[o.inode], o, as)
	case opFsync, opSyncDir: // what they keep is decided by durable
	}
	return d
}

func written(f file, o op, as fate) file {
	size := max(len(f.data), o.offset+len(o.data))
	data := make([]byte, size)
	copy(data, f.data)
	switch as {
	case kept:
		copy(data[o.offset:], o.data)
	case torn:
		copy(data[o.offset:], o.data[:len(o.data)/2])
	case lost, zeroed:
	}
	f.data = data
	return f
}

// durable reports whether an operation is synced by a later one of the log.
func durable(log []op, i int) bool {
	for _, later := range log[i+1:] {
		switch log[i].kind {
		case opWrite, opChmod:
			if later.kind == opFsync && later.inode == log[i].inode {
				return true
			}
		case opCreate, opRename, opRemove:
			if later.kind == opSyncDir {
				return true
			}
		case opFsync, opSyncDir:
			return true
		}
	}
	return false
}

// powerLoss calls check with every disk that may be found when the power is
// lost after the operations of log. Effects that were not synced may be there
// or not, each for itself: a disk that keeps the later and loses the earlier
// is among them.
func powerLoss(d disk, log []op, check func(disk)) { lose(d, log, 0, check) }

func lose(d disk, log []op, i int, check func(disk)) {
	if i == len(log) {
		check(d)
		return
	}
	fates := []fate{kept}
	if !durable(log, i) {
		switch log[i].kind {
		case opWrite:
			fates = []fate{lost, kept, torn, zeroed}
		case opFsync, opSyncDir:
		default:
			fates = []fate{lost, kept}
		}
	}
	for _, f := range fates {
		lose(d.apply(log[i], f), log, i+1, check)
	}
}
