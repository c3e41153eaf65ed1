package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// Cookies. Each is sealed for its own name, so that none passes for another.
const (
	sessionCookie = "maodian_session"
	stateCookie   = "maodian_state"
	sessionLife   = 15 * time.Minute
	stateLife     = 10 * time.Minute
	idLen         = 16
)

// Outcomes that the page after the form tells about. They travel in the session, not in the
// address, where proxies would log them.
const (
	noteNone byte = iota // nothing was answered yet
	noteSaved
	noteWithdrawn
	notePending
	noteGuardian // a guardian must confirm what was agreed to
)

// session is who looks at the page.
type session struct {
	id   [idLen]byte // random; the form's token is bound to it
	note byte
	who  subject.OpenID

	union subject.UnionID // zero: the platform told none
}

// visit is a way to the authorisation page and back.
type visit struct {
	state string
	lang  string // asked for explicitly, or empty
	to    string // one of our own paths
}

// sealer makes and opens cookies.
type sealer struct {
	aead   cipher.AEAD
	csrf   []byte
	clock  func() time.Time
	random io.Reader
}

func newSealer(c Credentials, appID string, clock func() time.Time, random io.Reader) (*sealer, error) {
	key, err := c.derive(appID, "cookie v1")
	if err != nil {
		return nil, err
	}
	csrf, err := c.derive(appID, "form v1")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	return &sealer{aead: aead, csrf: csrf, clock: clock, random: random}, nil
}

// draw returns n random bytes.
func (s *sealer) draw(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.random, b); err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	return b, nil
}

// seal encrypts payload for the cookie of that name, with its end.
func (s *sealer) seal(name string, payload []byte, life time.Duration) (string, error) {
	nonce, err := s.draw(s.aead.NonceSize())
	if err != nil {
		return "", err
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.clock().Add(life).Unix()))
	sealed := s.aead.Seal(nonce, nonce, append(plain, payload...), []byte(name))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// open returns the payload of the request's cookie, if it is ours and has not ended.
func (s *sealer) open(r *http.Request, name string) ([]byte, bool) {
	c, err := r.Cookie(name)
	if err != nil {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(raw) < s.aead.NonceSize() {
		return nil, false
	}
	plain, err := s.aead.Open(nil, raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():], []byte(name))
	if err != nil || len(plain) < 8 {
		return nil, false
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)
	return plain[8:], s.clock().Before(ends)
}

// begin makes the session of a person who has just come from the authorisation page.
func (s *sealer) begin(who wechat.WebIdentity) (session, error) {
	id, err := s.draw(idLen)
	if err != nil {
		return session{}, err
	}
	return session{id: [idLen]byte(id), who: who.OpenID, union: who.UnionID}, nil
}

// keep writes the session to the browser.
func (s *sealer) keep(w http.ResponseWriter, r *http.Request, in session) error {
	payload := append(in.id[:], in.note)
	value, err := s.seal(sessionCookie, append(payload, forSession(in)...), sessionLife)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, sessionCookie, value, sessionLife))
	return nil
}

// session returns who sends the request.
func (s *sealer) session(r *http.Request) (session, bool) {
	payload, ok := s.open(r, sessionCookie)
	if !ok || len(payload) <= idLen {
		return session{}, false
	}
	var err error
	open, union, _ := strings.Cut(string(payload[idLen+1:]), unionMark)
	in := session{id: [idLen]byte(payload[:idLen]), note: payload[idLen]}
	if in.who, err = subject.NewOpenID(open); err == nil && union != "" {
		in.union, err = subject.NewUnionID(union)
	}
	return in, err == nil
}

// depart starts a visit to the authorisation page.
func (s *sealer) depart(w http.ResponseWriter, r *http.Request, lang, to string) (visit, error) {
	raw, err := s.draw(idLen)
	if err != nil {
		return visit{}, err
	}
	v := visit{state: fmt.Sprintf("%x", raw), lang: lang, to: to} // the platform allows letters and digits only
	value, err := s.seal(stateCookie, []byte(strings.Join([]string{v.state, v.lang, v.to}, "\n")), stateLife)
	if err != nil {
		return visit{}, err
	}
	http.SetCookie(w, cookie(r, stateCookie, value, stateLife))
	return v, nil
}

// arrive ends a visit: what it returns is good for one use.
func (s *sealer) arrive(w http.ResponseWriter, r *http.Request) (visit, bool) {
	payload, ok := s.open(r, stateCookie)
	parts := strings.Split(string(payload), "\n")
	if !ok || len(parts) != 3 {
		return visit{}, false
	}
	http.SetCookie(w, cookie(r, stateCookie, "", -time.Second))
	return visit{state: parts[0], lang: parts[1], to: parts[2]}, true
}

// token is the form's proof that it came from a page of this session.
func (s *sealer) token(in session) string {
	mac := hmac.New(sha256.New, s.csrf)
	_, _ = mac.Write(in.id[:]) // a hash does not fail
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// cookie is Lax because the authorisation page, another site, leads back here.
func cookie(r *http.Request, name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/consent", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: scheme(r) == "https", SameSite: http.SameSiteLaxMode,
	}
}

// scheme is what the browser used: the ingress in front of us ends TLS.
func scheme(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}
