package destination

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tag names the use of a signature, so that one made for something else is not taken for it.
const tag = "maodian-transfer"

// signer signs requests by HTTP Message Signatures (RFC 9421) with Ed25519.
type signer struct {
	keyID string
	key   ed25519.PrivateKey
	life  time.Duration
	clock func() time.Time
}

// component is one line of what is signed (RFC 9421, section 2).
type component struct{ name, value string }

// sign covers the method, the whole address, and the body by its digest (RFC 9530), type and
// length.
func (s signer) sign(r *http.Request) {
	now := s.clock().Unix()
	params := fmt.Sprintf(`;created=%d;expires=%d;keyid=%q;alg="ed25519";tag=%q`, now, now+int64(s.life/time.Second), s.keyID, tag)
	input, signature := s.signature([]component{
		{"@method", r.Method},
		{"@target-uri", r.URL.String()},
		{"content-digest", r.Header.Get("Content-Digest")},
		{"content-type", r.Header.Get("Content-Type")},
		{"content-length", strconv.FormatInt(r.ContentLength, 10)},
	}, params)
	r.Header.Set("Signature-Input", "maodian="+input)
	r.Header.Set("Signature", "maodian=:"+signature+":")
}

// signature makes the signature base (section 2.5) and signs it. It returns the inner list
// with its parameters, and the signature in base64.
func (s signer) signature(covered []component, params string) (input, signature string) {
	var base strings.Builder
	names := make([]string, len(covered))
	for i, c := range covered {
		names[i] = strconv.Quote(c.name)
		fmt.Fprintf(&base, "%q: %s\n", c.name, c.value)
	}
	input = "(" + strings.Join(names, " ") + ")" + params
	base.WriteString(`"@signature-params": ` + input)
	return input, base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, []byte(base.String())))
}
