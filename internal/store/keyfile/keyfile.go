// Package keyfile keeps, in a small file outside the database, what ties a ledger's random
// numbers to people: for each person a secret without which their key does not unwrap, and
// the keyed index under which they are found. Overwriting a person's 64 bytes makes every
// copy of the database that was ever taken unreadable about them (PIPL 47), as long as no
// copy of this file from before is kept.
//
// What is added is on disk before the database commits to it, and what the database has
// erased is destroyed afterwards: whoever opens both completes what a crash interrupted. A
// destroyed place keeps the random number alone, so that an old copy of the database that
// is put back is erased of the same people again.
package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Name of the file.
const Name = "people.keys"

// Sizes in bytes.
const (
	IDSize     = 16
	BlindSize  = 16
	SecretSize = 32
	place      = BlindSize + IDSize + SecretSize // one person
	titleSize  = 2 * place
)

const magic = "maodian people's keys 1\n"

// Errors of this package.
var (
	ErrMissing   = errors.New("the file of people's keys is not there")
	ErrForeign   = errors.New("the file of people's keys belongs to another ledger")
	ErrDestroyed = errors.New("the key was destroyed")
)

// File is an open key file. Reading is safe from everywhere; one goroutine writes.
type File struct {
	file *os.File

	mu    sync.RWMutex
	index map[[BlindSize]byte]int64 // the newest place of each person
	next  int64
	dirty bool
	gone  [][IDSize]byte // destroyed when the file was opened
}

// Open opens the key file of a ledger in dir; create makes it where there is none.
func Open(dir, ledger string, create bool) (*File, error) {
	path := filepath.Join(dir, Name)
	title := make([]byte, titleSize)
	if copy(title[copy(title, magic):], ledger) < len(ledger) {
		return nil, ErrForeign
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, ErrMissing
		}
		f, err = found(dir, path, title)
	}
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	k := &File{file: f, index: map[[BlindSize]byte]int64{}}
	if err := k.load(title); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

// found makes the file beside its place and moves it there, so that no crash leaves half a title.
func found(dir, path string, title []byte) (*os.File, error) {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(title)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, errors.Join(d.Sync(), d.Close())
}

// load reads every place once.
func (f *File) load(title []byte) error {
	raw, err := io.ReadAll(io.NewSectionReader(f.file, 0, 1<<62))
	if err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	if len(raw) < titleSize || !bytes.Equal(raw[:titleSize], title) {
		return ErrForeign
	}
	raw = raw[titleSize:]
	f.next = int64((len(raw) + place - 1) / place) // half a place was not committed to: it is skipped
	for n := int64(0); len(raw) >= place; n, raw = n+1, raw[place:] {
		blind, id := [BlindSize]byte(raw), [IDSize]byte(raw[BlindSize:])
		switch {
		case id == [IDSize]byte{}:
		case bytes.Equal(raw[BlindSize+IDSize:place], make([]byte, SecretSize)):
			f.gone = append(f.gone, id)
		default:
			f.index[blind] = n
		}
	}
	return nil
}

// Find returns the place and the number of the person behind a blind index.
func (f *File) Find(blind []byte) (at int64, id []byte, ok bool) {
	f.mu.RLock()
	at, ok = f.index[[BlindSize]byte(blind)]
	f.mu.RUnlock()
	if !ok {
		return 0, nil, false
	}
	var b [place]byte
	if _, err := f.file.ReadAt(b[:], offset(at)); err != nil || !bytes.Equal(b[:BlindSize], blind) {
		return 0, nil, false // destroyed this moment
	}
	return at, bytes.Clone(b[BlindSize : BlindSize+IDSize]), true
}

// Add draws the secret of a new person. It is on disk after Sync.
func (f *File) Add(blind, id []byte) (at int64, secret []byte, err error) {
	b := make([]byte, place)
	copy(b, blind)
	copy(b[BlindSize:], id)
	secret = b[BlindSize+IDSize:]
	if _, err := rand.Read(secret); err != nil {
		return 0, nil, fmt.Errorf("draw key: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at = f.next
	if _, err := f.file.WriteAt(b, offset(at)); err != nil {
		return 0, nil, fmt.Errorf("write key file: %w", err)
	}
	f.next, f.dirty = at+1, true
	f.index[[BlindSize]byte(blind)] = at
	return at, secret, nil
}

// Sync brings what was added to disk.
func (f *File) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirty {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	f.dirty = false
	return nil
}

// Secret returns the secret of a person, whose place it must be.
func (f *File) Secret(at int64, id []byte) ([]byte, error) {
	var b [place]byte
	if _, err := f.file.ReadAt(b[:], offset(at)); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	secret := b[BlindSize+IDSize:]
	if !bytes.Equal(b[BlindSize:BlindSize+IDSize], id) || bytes.Equal(secret, make([]byte, SecretSize)) {
		return nil, ErrDestroyed
	}
	return bytes.Clone(secret), nil
}

// Destroy overwrites the secret and the index of a person, on disk when it returns. Done
// twice, it changes nothing; a place of another person is left alone.
func (f *File) Destroy(at int64, id []byte) error {
	if _, err := f.Secret(at, id); errors.Is(err, ErrDestroyed) {
		return nil
	} else if err != nil {
		return err
	}
	b := make([]byte, place)
	if _, err := f.file.ReadAt(b, offset(at)); err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	blind := [BlindSize]byte(b)
	clear(b[:BlindSize])
	clear(b[BlindSize+IDSize:])
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.file.WriteAt(b, offset(at)); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	if f.index[blind] == at {
		delete(f.index, blind)
	}
	return nil
}

// Gone lists whose places were destroyed when the file was opened.
func (f *File) Gone() [][IDSize]byte { return f.gone }

// Len is how many places there are, destroyed ones too.
func (f *File) Len() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.next
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

func offset(at int64) int64 { return titleSize + at*place }
