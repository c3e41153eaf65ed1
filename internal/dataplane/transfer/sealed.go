package transfer

import (
	"bytes"
	"fmt"
	"strings"

	"filippo.io/age"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
)

// sealed encrypts what an encoding renders, so that only the recipient reads it: neither who
// runs the destination nor we can. Its hash and size in the manifest are those of what is
// written.
type sealed struct {
	Encoding
	recipients []age.Recipient
}

func newSealed(e Encoding, keys []string) (sealed, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(keys, "\n")))
	if err != nil || len(recipients) != len(keys) {
		return sealed{}, fmt.Errorf("%w: `encryptFor` must hold age recipients, as `age1...`", config.ErrConfig)
	}
	return sealed{e, recipients}, nil
}

// Encode renders a part and encrypts it.
func (s sealed) Encode(fields []string, rows [][]byte) ([]byte, error) {
	plain, err := s.Encoding.Encode(fields, rows)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, s.recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// ContentType says no more than that it is encrypted.
func (sealed) ContentType() string { return "application/octet-stream" }

// Extension ends an object's name.
func (s sealed) Extension() string { return s.Encoding.Extension() + ".age" }
