package ociimage

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteFile writes img under the reference ref as one tar that "ctr images import", "docker load" and
// "kind load image-archive" read. The file appears whole or not at all.
func WriteFile(file, ref string, img v1.Image) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".image-*")
	if err != nil {
		return fmt.Errorf("create image archive: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(Write(f, ref, img), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("put image archive in place: %w", err)
	}
	return nil
}

// Write writes img as an OCI image layout in one tar, with the older Docker index beside it.
func Write(w io.Writer, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("parse image name: %w", err)
	}
	a := archive{tree: tree{w: tar.NewWriter(w), seen: map[string]bool{}}}
	a.file("/oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if err := a.image(tag, img); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return errors.Join(a.err, a.w.Close())
}

type archive struct{ tree }

// dockerEntry is one image in the index of "docker save".
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a *archive) image(tag name.Tag, img v1.Image) error {
	manifest, err := img.RawManifest()
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("read layers: %w", err)
	}
	index, err := indexOf(tag, img)
	if err != nil {
		return err
	}
	a.file("/index.json", 0o644, index)
	entry := dockerEntry{RepoTags: []string{tag.Name()}}
	a.blob(manifest)
	entry.Config = a.blob(config)
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return fmt.Errorf("open layer: %w", err)
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		entry.Layers = append(entry.Layers, a.blob(content))
	}
	docker, err := json.Marshal([]dockerEntry{entry})
	if err != nil {
		return fmt.Errorf("encode docker index: %w", err)
	}
	a.file("/manifest.json", 0o644, docker)
	return nil
}

// blob stores content under its own hash and returns its path in the archive.
func (a *archive) blob(content []byte) string {
	h, _, err := v1.SHA256(strings.NewReader(string(content)))
	if err != nil {
		a.err = errors.Join(a.err, err)
		return ""
	}
	p := "/blobs/sha256/" + h.Hex
	if !a.seen[p] {
		a.file(p, 0o644, content)
	}
	return p[1:]
}

// indexOf is the layout's index; the annotation is how containerd learns the image's full name.
func indexOf(tag name.Tag, img v1.Image) ([]byte, error) {
	digest, err := img.Digest()
	if err != nil {
		return nil, fmt.Errorf("hash manifest: %w", err)
	}
	size, err := img.Size()
	if err != nil {
		return nil, fmt.Errorf("measure manifest: %w", err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	b, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: digest, Size: size,
			Platform: &v1.Platform{OS: cfg.OS, Architecture: cfg.Architecture},
			Annotations: map[string]string{
				"io.containerd.image.name":          tag.Name(),
				"org.opencontainers.image.ref.name": tag.TagStr(),
			},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	return b, nil
}
