package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

// The frame inside a push: 16 random bytes, a length, the message, the appid, and
// padding to a multiple of 32 (wechat.md 13.2).
const (
	randomLen = 16
	headLen   = randomLen + 4
	padBlock  = 32
)

// Open verifies and decrypts a pushed body (a POST). It returns the plain message
// and the key that fitted, which is the one to encrypt a reply with. Plaintext
// fields beside the encrypted one, and the openid of the query, are ignored: no
// signature covers them.
func (k Keys) Open(query url.Values, body []byte, now time.Time) ([]byte, AESKey, error) {
	if query.Get("encrypt_type") != "aes" || !query.Has("msg_signature") {
		return nil, AESKey{}, refusal{CauseMode}
	}
	if len(body) == 0 || len(body) > MaxBody {
		return nil, AESKey{}, refusal{CauseSize}
	}
	root, err := parseTree(body)
	if err != nil {
		return nil, AESKey{}, refusal{CauseEnvelope}
	}
	encrypted := root.text("Encrypt")
	if encrypted == "" {
		return nil, AESKey{}, refusal{CauseMode}
	}
	if err := k.verify(query, "msg_signature", now, encrypted); err != nil {
		return nil, AESKey{}, err
	}
	sealed, err := base64.StdEncoding.DecodeString(encrypted)
	if err != nil {
		return nil, AESKey{}, refusal{CauseCipher}
	}
	return k.decrypt(sealed)
}

func (k Keys) decrypt(sealed []byte) ([]byte, AESKey, error) {
	cause := CauseCipher
	for _, key := range []AESKey{k.Current, k.Previous} {
		if key.IsZero() {
			continue
		}
		message, appID, ok := unseal(key, sealed)
		if !ok {
			continue
		}
		if string(appID) == k.AppID {
			return message, key, nil
		}
		cause = CauseAppID
	}
	return nil, AESKey{}, refusal{cause}
}

// unseal decrypts and takes the frame apart. Every byte of the padding counts.
func unseal(key AESKey, sealed []byte) (message, appID []byte, ok bool) {
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, nil, false
	}
	block, err := aes.NewCipher(key.key[:])
	if err != nil {
		return nil, nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, key.key[:aes.BlockSize]).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > padBlock || pad+headLen > len(plain) {
		return nil, nil, false
	}
	frame := plain[:len(plain)-pad]
	if !bytes.Equal(plain[len(frame):], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, nil, false
	}
	length := uint64(binary.BigEndian.Uint32(frame[randomLen:]))
	rest := frame[headLen:]
	if length > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:length:length], rest[length:], true
}

// Sealed is an encrypted message with its signature.
type Sealed struct {
	Encrypt, Signature, Timestamp, Nonce string
}

// Seal encrypts a message with one of the keys and signs it. random yields the 16
// bytes before the message; it is crypto/rand.Reader outside tests.
func (k Keys) Seal(key AESKey, message []byte, nonce string, at time.Time, random io.Reader) (Sealed, error) {
	if !k.complete() || key.IsZero() {
		return Sealed{}, refusal{CauseConfig}
	}
	if len(message) > MaxBody {
		return Sealed{}, refusal{CauseSize}
	}
	plain := make([]byte, headLen, headLen+len(message)+len(k.AppID)+padBlock)
	if _, err := io.ReadFull(random, plain[:randomLen]); err != nil {
		return Sealed{}, fmt.Errorf("draw random prefix: %w", err)
	}
	binary.BigEndian.PutUint32(plain[randomLen:], uint32(len(message)))
	plain = append(append(plain, message...), k.AppID...)
	pad := padBlock - len(plain)%padBlock
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(key.key[:])
	if err != nil {
		return Sealed{}, fmt.Errorf("set up cipher: %w", err)
	}
	cipher.NewCBCEncrypter(block, key.key[:aes.BlockSize]).CryptBlocks(plain, plain)
	s := Sealed{
		Encrypt:   base64.StdEncoding.EncodeToString(plain),
		Timestamp: strconv.FormatInt(at.Unix(), 10),
		Nonce:     nonce,
	}
	s.Signature = Signature(k.Token.Reveal(), s.Timestamp, s.Nonce, s.Encrypt)
	return s, nil
}

// Query is the query string of a push in secure mode.
func (k Keys) Query(s Sealed) url.Values {
	return url.Values{
		"signature":     {Signature(k.Token.Reveal(), s.Timestamp, s.Nonce)},
		"timestamp":     {s.Timestamp},
		"nonce":         {s.Nonce},
		"encrypt_type":  {"aes"},
		"msg_signature": {s.Signature},
	}
}

// Reply is the body that answers a push with an encrypted message.
func (s Sealed) Reply() []byte {
	return fmt.Appendf(nil, "<xml><Encrypt><![CDATA[%s]]></Encrypt><MsgSignature><![CDATA[%s]]></MsgSignature>"+
		"<TimeStamp>%s</TimeStamp><Nonce><![CDATA[%s]]></Nonce></xml>", s.Encrypt, s.Signature, s.Timestamp, s.Nonce)
}

// Envelope is the body of a push to the account with the given original id (gh_…).
func (s Sealed) Envelope(account string) []byte {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(account)) // a bytes.Buffer does not fail
	return fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>", escaped.Bytes(), s.Encrypt)
}
