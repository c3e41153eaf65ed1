// Package config reads the configuration files of the data plane's subcommands: strictly,
// so that a misspelt key is an error and not a default, and bounded.
package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// ErrConfig is the stable word of everything that is wrong with a configuration.
var ErrConfig = errors.New("ConfigInvalid")

// maxFile bounds a configuration file, a certificate bundle or a credential.
const maxFile = 1 << 20

// Validator checks what a file cannot leave to defaults, and sets these.
type Validator interface{ Validate() error }

// Load reads a YAML file into c and validates it. Unknown and doubled keys are errors.
func Load(path string, c Validator) error {
	raw, err := read(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(raw, c); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, filepath.Base(path), err)
	}
	return c.Validate()
}

// Require returns an error that names the first field that is empty. Fields come in pairs
// of name and value.
func Require(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return fmt.Errorf("%w: `%s` must be set", ErrConfig, pairs[i])
		}
	}
	return nil
}

// Secret reads one credential of a mounted Secret; the error names the file, never the content.
func Secret(dir, name string) (subject.Secret, error) {
	raw, err := read(filepath.Join(dir, name))
	if err != nil {
		return subject.Secret{}, fmt.Errorf("%w: credential %s cannot be read", ErrConfig, name)
	}
	v := strings.TrimSpace(string(raw))
	if v == "" {
		return subject.Secret{}, fmt.Errorf("%w: credential %s is empty", ErrConfig, name)
	}
	return subject.NewSecret(v), nil
}

// Roots returns the system's authorities and those of extraCAFile, if one is named.
func Roots(extraCAFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if extraCAFile == "" {
		return pool, nil
	}
	raw, err := read(extraCAFile)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%w: `extraCAFile` holds no certificate", ErrConfig)
	}
	return pool, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%w: %s is larger than 1 MiB", ErrConfig, filepath.Base(path))
	}
	return raw, nil
}
