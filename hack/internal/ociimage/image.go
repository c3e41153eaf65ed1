// Package ociimage builds small container images from files of this machine, without a container runtime and
// without a registry. It promises that the same files give the same digest on every machine: no clock, no user
// names and no compressor takes part. It knows nothing about clusters.
package ociimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one file to put into an image.
type File struct {
	Source string // path on this machine
	Path   string // absolute path in the image
}

// Spec says what an image holds and how it starts.
type Spec struct {
	Files        []File
	Entrypoint   []string
	User         string // "uid" or "uid:gid"; empty means root
	Labels       map[string]string
	Architecture string // as GOARCH
}

// The name service files let programs look up the unprivileged user and resolve names as usual.
const (
	passwd   = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group    = "root:x:0:\nnonroot:x:65532:\n"
	nsswitch = "hosts: files dns\n"
)

// Build returns the image of s: one uncompressed layer over nothing.
func Build(s Spec) (v1.Image, error) {
	if len(s.Entrypoint) == 0 {
		return nil, errors.New("build image: no entrypoint")
	}
	content, err := layer(s.Files)
	if err != nil {
		return nil, fmt.Errorf("build image layer: %w", err)
	}
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:   static.NewLayer(content, types.OCIUncompressedLayer),
		History: v1.History{CreatedBy: "maodian hack/image", Created: v1.Time{Time: epoch()}},
	})
	if err != nil {
		return nil, fmt.Errorf("append image layer: %w", err)
	}
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	old, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image config: %w", err)
	}
	cfg := old.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = "linux", s.Architecture, v1.Time{Time: epoch()}
	cfg.Config = v1.Config{
		Entrypoint: s.Entrypoint, User: s.User, Labels: s.Labels, WorkingDir: "/",
		Env: []string{"PATH=/"},
	}
	img, err = mutate.ConfigFile(img, cfg)
	if err != nil {
		return nil, fmt.Errorf("set image config: %w", err)
	}
	return img, nil
}

func epoch() time.Time { return time.Unix(0, 0).UTC() }

// layer is the tar of the image's file system. It is not compressed: the image never crosses a network, and
// compressors do not promise the same bytes from one release to the next.
func layer(files []File) ([]byte, error) {
	var buf bytes.Buffer
	t := tree{w: tar.NewWriter(&buf), seen: map[string]bool{}}
	t.dir("/tmp", 0o1777)
	t.file("/etc/passwd", 0o644, []byte(passwd))
	t.file("/etc/group", 0o644, []byte(group))
	t.file("/etc/nsswitch.conf", 0o644, []byte(nsswitch))
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range sorted {
		if err := t.copy(f); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), errors.Join(t.err, t.w.Close())
}

// tree writes files and the folders above them; the first error sticks.
type tree struct {
	w    *tar.Writer
	seen map[string]bool
	err  error
}

func (t *tree) copy(f File) error {
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
		return fmt.Errorf("image path %q is not a clean absolute path", f.Path)
	}
	if t.seen[f.Path] {
		return fmt.Errorf("image path %q is given twice", f.Path)
	}
	info, err := os.Stat(f.Source)
	if err != nil {
		return fmt.Errorf("find file: %w", err)
	}
	content, err := os.ReadFile(f.Source)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	t.file(f.Path, mode, content)
	return t.err
}

func (t *tree) dir(name string, mode int64) {
	if name == "/" || t.seen[name] {
		return
	}
	t.dir(path.Dir(name), 0o755)
	t.seen[name] = true
	t.put(&tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: mode}, nil)
}

func (t *tree) file(name string, mode int64, content []byte) {
	t.dir(path.Dir(name), 0o755)
	t.seen[name] = true
	t.put(&tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: mode, Size: int64(len(content))}, content)
}

func (t *tree) put(h *tar.Header, content []byte) {
	if t.err != nil {
		return
	}
	h.ModTime, h.Format = epoch(), tar.FormatPAX
	if t.err = t.w.WriteHeader(h); t.err == nil {
		_, t.err = io.Copy(t.w, bytes.NewReader(content))
	}
}
