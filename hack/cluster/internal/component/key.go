package component

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Key names one build of a component: it changes with the module's sums and sources, the flags and the Go release.
func Key(tools string, c Component, goVersion string) (string, error) {
	dir := filepath.Join(tools, c.Module)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", fmt.Errorf("list sources: %w", err)
	}
	slices.Sort(files)
	files = append([]string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")}, files...)
	h := sha256.New()
	// hash.Hash never fails to write
	_, _ = fmt.Fprintf(h, "%q %q %q\n", goVersion, c.Package, c.LDFlags)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) && filepath.Base(f) == "go.sum" {
			continue // a module without dependencies has none
		}
		if err != nil {
			return "", fmt.Errorf("read module: %w", err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(b), b)
	}
	return c.Name + "-" + hex.EncodeToString(h.Sum(nil))[:16], nil
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
