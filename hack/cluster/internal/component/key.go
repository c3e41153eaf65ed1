package component

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Key names one build of a component: it changes with the module's sums and sources, the flags and the Go release.
func Key(tools string, c Component, goVersion string) (string, error) {
	dir := filepath.Join(tools, c.Module)
	files, err := sources(dir)
	if err != nil {
		return "", err
	}
	files = append([]string{"go.mod", "go.sum"}, files...)
	h := sha256.New()
	// hash.Hash never fails to write
	_, _ = fmt.Fprintf(h, "%q %q %q\n", goVersion, c.Package, c.LDFlags)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if errors.Is(err, fs.ErrNotExist) && f == "go.sum" {
			continue // a module without dependencies has none
		}
		if err != nil {
			return "", fmt.Errorf("read module: %w", err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", f, len(b), b)
	}
	return c.Name + "-" + hex.EncodeToString(h.Sum(nil))[:16], nil
}

// sources are the Go files of a module, relative to its folder, in a stable order.
func sources(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".go" {
			path, err = filepath.Rel(dir, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return files, nil
}

// CacheDir is the folder of built programs: $MAODIAN_CACHE, or maodian in the user's cache folder.
func CacheDir() (string, error) {
	if d := os.Getenv("MAODIAN_CACHE"); d != "" {
		abs, err := filepath.Abs(d)
		if err != nil {
			return "", fmt.Errorf("resolve MAODIAN_CACHE: %w", err)
		}
		return abs, nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(d, "maodian"), nil
}
