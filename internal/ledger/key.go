package ledger

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// Key protects secret values at rest: AES-256-GCM.
type Key [32]byte

// String hides the key from logs and messages.
func (Key) String() string { return "[key]" }

// GoString hides the key from %#v.
func (Key) GoString() string { return "[key]" }

// LoadKey reads the key at path. The first time it makes one, which is durable
// and readable by its owner only before LoadKey returns.
func LoadKey(path string) (Key, error) {
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	return key, explain("load key", path, err)
}

func makeKey(path string) error {
	var key Key
	_, _ = rand.Read(key[:]) // never fails
	return atomicfile.Write(path, key[:], 0o600)
}

func readKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, err
	}
	if !info.Mode().IsRegular() {
		return Key{}, &noon.Error{Kind: noon.Invalid, Err: errNotRegular, Hint: "Put the key's file back from a backup."}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, &noon.Error{
			Kind: noon.Invalid, Err: fmt.Errorf("its mode %04o lets others read it", mode),
			Hint: "If nobody else has read it, run: chmod 600 " + path,
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	if len(data) != len(Key{}) {
		return Key{}, &noon.Error{
			Kind: noon.Invalid, Err: fmt.Errorf("it has %d bytes, want %d", len(data), len(Key{})),
			Hint: "Put the key's file back from a backup. Without it the secrets in the ledger can not be read.",
		}
	}
	return Key(data), nil
}

// sealed marks the format of a stored secret, so that another can follow.
const sealed = "gcm1."

// seal encrypts text and binds it to the place it is stored at.
func (k Key) seal(text, place string) string {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce) // never fails
	return sealed + base64.RawStdEncoding.EncodeToString(k.aead().Seal(nonce, nonce, []byte(text), []byte(place)))
}

// unseal is the inverse of seal. Its error never holds any of the text.
func (k Key) unseal(value, place string) (string, error) {
	encoded, ok := strings.CutPrefix(value, sealed)
	data, err := base64.RawStdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(data) < 12 {
		return "", fmt.Errorf("%s is not a sealed value", place)
	}
	text, err := k.aead().Open(nil, data[:12], data[12:], []byte(place))
	if err != nil {
		return "", fmt.Errorf("%s was sealed with another key or altered", place)
	}
	return string(text), nil
}

func (k Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // 32 bytes are a valid key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return aead
}

// checkKey refuses a key that is not the ledger's, before anything is read or
// written with it.
func (l *Ledger) checkKey(ctx context.Context) error {
	const place = "ledger"
	var value string
	err := l.reader.QueryRowContext(ctx, `SELECT value FROM seal WHERE name = $1`, place).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = l.writer.ExecContext(ctx, `INSERT INTO seal (name, value) VALUES ($1, $2)`, place, l.key.seal(place, place))
		return err
	}
	if err != nil {
		return fmt.Errorf("read seal: %w", err)
	}
	if text, err := l.key.unseal(value, place); err != nil || text != place {
		return &noon.Error{
			Kind: noon.Invalid, Err: errors.New("it was written with another key"),
			Hint: "Put the secret.key that belongs to this ledger back beside it. Without it the stored secrets can not be read.",
		}
	}
	return nil
}
