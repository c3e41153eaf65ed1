// Command image packs programs of this machine into a container image, from nothing and without a container
// runtime:
//
//	go run ./hack/image -o out.tar -name registry.maodian.test/maodian:dev -entrypoint /maodian -user 65532:65532 bin/maodian=/maodian
//
// The same files give the same image digest. It is a development tool and no part of the product.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/maodian-dev/maodian/hack/internal/ociimage"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	out, name string
	spec      ociimage.Spec
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{spec: ociimage.Spec{Labels: map[string]string{}}}
	var entrypoint string
	fs := flag.NewFlagSet("image", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "usage: image -o FILE -name REF -entrypoint PATH [-user UID:GID] [-label KEY=VALUE]... SRC=/DST...")
		fs.PrintDefaults()
	}
	fs.StringVar(&o.out, "o", "", "archive to write")
	fs.StringVar(&o.name, "name", "", "full image name with a tag")
	fs.StringVar(&entrypoint, "entrypoint", "", "program that the image starts")
	fs.StringVar(&o.spec.User, "user", "", "user[:group] that the program runs as")
	fs.StringVar(&o.spec.Architecture, "arch", runtime.GOARCH, "architecture of the programs")
	fs.Func("label", "key=value, may be repeated", func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return errors.New("want key=value")
		}
		o.spec.Labels[k] = v
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.out == "" || o.name == "" || entrypoint == "" {
		return o, errors.New("-o, -name and -entrypoint must be set")
	}
	o.spec.Entrypoint = []string{entrypoint}
	for _, a := range fs.Args() {
		src, dst, ok := strings.Cut(a, "=")
		if !ok {
			return o, fmt.Errorf("%q is not SRC=/DST", a)
		}
		o.spec.Files = append(o.spec.Files, ociimage.File{Source: src, Path: dst})
	}
	return o, nil
}

func run(args []string, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return fmt.Errorf("create folder of the archive: %w", err)
	}
	img, err := ociimage.Build(o.spec)
	if err != nil {
		return err
	}
	if err := ociimage.WriteFile(o.out, o.name, img); err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return fmt.Errorf("hash image: %w", err)
	}
	_, err = fmt.Fprintf(stderr, "%s %s\n", o.name, digest)
	return err
}
