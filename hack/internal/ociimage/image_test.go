package ociimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func source(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func spec(t *testing.T) Spec {
	return Spec{
		Files: []File{
			{Source: source(t, "the manager", 0o700), Path: "/manager"},
			{Source: source(t, "some data", 0o600), Path: "/usr/share/maodian/data"},
		},
		Entrypoint: []string{"/manager"}, User: "65532:65532", Architecture: "amd64",
		Labels: map[string]string{"org.opencontainers.image.title": "maodian"},
	}
}

// archiveOf builds and writes the image of s.
func archiveOf(t *testing.T, s Spec) []byte {
	t.Helper()
	img, err := Build(s)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, "registry.maodian.test/maodian:dev", img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entries(t *testing.T, r io.Reader) map[string]tar.Header {
	t.Helper()
	out := map[string]tar.Header{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = *h
	}
}

// readBack unpacks an archive as an OCI layout and returns its only image.
func readBack(t *testing.T, archive []byte) v1.Image {
	t.Helper()
	dir := t.TempDir()
	tr := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(p, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				err = os.WriteFile(p, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := p.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Manifests[0].Annotations["io.containerd.image.name"]; got != "registry.maodian.test/maodian:dev" {
		t.Errorf("image name annotation = %q", got)
	}
	img, err := p.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestBuild_SameFilesGiveSameBytes(t *testing.T) {
	if a, b := archiveOf(t, spec(t)), archiveOf(t, spec(t)); !bytes.Equal(a, b) {
		t.Error("two builds of the same files differ")
	}
	s := spec(t)
	s.Files[0].Source = source(t, "another manager", 0o700)
	if a, b := archiveOf(t, spec(t)), archiveOf(t, s); bytes.Equal(a, b) {
		t.Error("a changed file does not change the archive")
	}
}

func TestBuild_ReadsBack(t *testing.T) {
	img := readBack(t, archiveOf(t, spec(t)))
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Entrypoint: []string{"/manager"}, User: "65532:65532", WorkingDir: "/", Env: []string{"PATH=/"},
		Labels: map[string]string{"org.opencontainers.image.title": "maodian"},
	}
	if d := cmp.Diff(want, cfg.Config); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers: %d, %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for name, h := range entries(t, r) {
		modes[name] = h.Mode
	}
	wantModes := map[string]int64{
		"tmp/": 0o1777, "etc/": 0o755, "etc/passwd": 0o644, "etc/group": 0o644, "etc/nsswitch.conf": 0o644,
		"manager": 0o755, "usr/": 0o755, "usr/share/": 0o755, "usr/share/maodian/": 0o755, "usr/share/maodian/data": 0o644,
	}
	if d := cmp.Diff(wantModes, modes); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

func TestBuild_Refuses(t *testing.T) {
	some := source(t, "x", 0o600)
	for name, c := range map[string]struct {
		files []File
		entry []string
		want  string
	}{
		"an image that starts nothing":     {nil, nil, "no entrypoint"},
		"a path that is not absolute":      {[]File{{some, "a"}}, []string{"/a"}, "absolute"},
		"a path that climbs":               {[]File{{some, "/a/../../b"}}, []string{"/a"}, "absolute"},
		"two files at one path":            {[]File{{some, "/a"}, {some, "/a"}}, []string{"/a"}, "twice"},
		"a file in place of its own":       {[]File{{some, "/etc/passwd"}}, []string{"/a"}, "twice"},
		"a file that is not there":         {[]File{{some + "?", "/a"}}, []string{"/a"}, "find file"},
		"a folder where a file must stand": {[]File{{t.TempDir(), "/a"}}, []string{"/a"}, "read file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Build(Spec{Files: c.files, Entrypoint: c.entry})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestWriteFile_LeavesNothingAfterAnError(t *testing.T) {
	img, err := Build(spec(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "a.tar"), "no tag and blanks", img); err == nil {
		t.Fatal("a malformed image name is taken")
	}
	if err := WriteFile(filepath.Join(dir, "b.tar"), "localhost/a:b", img); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "b.tar" {
		t.Errorf("files = %v, %v", left, err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".image-*"))
	if err != nil || len(hidden) != 0 {
		t.Errorf("left behind: %v, %v", hidden, err)
	}
}
