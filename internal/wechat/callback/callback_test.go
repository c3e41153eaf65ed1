package callback

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

const (
	testKey     = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	otherKey    = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba"
	testMessage = "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><FromUserName><![CDATA[oAAAAAAAAAAAAAAAAAAAAAAAAAAA]]></FromUserName>" +
		"<CreateTime>1700000000</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[unsubscribe]]></Event></xml>"
	testEncrypt = "Q3stYC6hdFzMh9T8HCvyDK6LPAAq9H47mukvNCtkXrJ1COiHIvoEH8H/QuFJ0UW84idr9yMDVDpp/mCiBq7eXjOMc5zRLo3uBg20yTrUf82pFEBsz5I7LtKIdy9lGfV06VZOQQ3jwlEA+QO84ABP8z+5NBP5mYstWnO3d+pGaPHOC2TJgf79ObitmY/WtmzhLQxKb+DCXYH1Fk11X/Ag59DOY956VLc2GYZxQz7aH8OmZPTRhL+r+yHbagq4RdUfmbmyUrwDQncG+2M1w1X4JIX4eZyQO6ccvqFB4isqe2aMZcQbMeZm95R9+Eehb6au15QHz81waTy4raynsjUAAxhD6vFNMSxbshzfj7N3ARjqV4JBgOKIbEUWdLDfuCFC"
	testSign    = "d1011a86eabd458546adce801d0e5ec6a4b5b8d0"
)

var testNow = time.Unix(1700000000, 0)

func mustKey(t testing.TB, s string) AESKey {
	t.Helper()
	k, err := ParseAESKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testKeys(t testing.TB) Keys {
	return Keys{Token: subject.NewSecret("maodiantoken"), Current: mustKey(t, testKey), AppID: "wx0123456789abcdef"}
}

func TestSignature_PublishedVectors(t *testing.T) {
	for _, v := range [][]string{
		{"f464b24fc39322e44b38aa78f5edd27bd1441696", "AAAAA", "1714036504", "1514711492"},
		{"899cf89e464efb63f54ddac96b0a0a235f53aa78", "AAAAA", "1714037059", "486452656"},
		{"ce32c0845129fc0b5f2fd856c19b8345b5fdbe84", "maodiantoken", "1700000000", "1234567890"},
		{testSign, "maodiantoken", "1700000000", "1234567890", testEncrypt},
	} {
		if got := Signature(v[1:]...); got != v[0] {
			t.Errorf("Signature(%v) = %s, want %s", v[1:], got, v[0])
		}
	}
}

func TestVerifyURL(t *testing.T) {
	keys := Keys{Token: subject.NewSecret("AAAAA"), Current: mustKey(t, testKey), AppID: "wx"}
	query := func(sign, echo string) url.Values {
		return url.Values{"signature": {sign}, "timestamp": {"1714036504"}, "nonce": {"1514711492"}, "echostr": {echo}}
	}
	const good = "f464b24fc39322e44b38aa78f5edd27bd1441696"
	for name, c := range map[string]struct {
		query url.Values
		age   time.Duration
		want  Cause
	}{
		"a right signature is answered with its echostr": {query(good, "4375120948345356249"), 0, CauseNone},
		"a wrong signature is refused":                   {query(strings.Repeat("0", 40), "1"), 0, CauseSignature},
		"an absent signature is refused":                 {query("", "1"), 0, CauseSignature},
		"an old timestamp is refused":                    {query(good, "1"), 11 * time.Minute, CauseStale},
		"a timestamp of the future is refused":           {query(good, "1"), -11 * time.Minute, CauseStale},
		"markup is not echoed":                           {query(good, "<script>"), 0, CauseEnvelope},
	} {
		t.Run(name, func(t *testing.T) {
			echo, err := keys.VerifyURL(c.query, time.Unix(1714036504, 0).Add(c.age))
			if CauseOf(err) != c.want {
				t.Fatalf("cause %s, want %s", CauseOf(err), c.want)
			}
			if err == nil && echo != "4375120948345356249" {
				t.Errorf("echo %q", echo)
			}
		})
	}
}

func TestSealAndOpen_PublishedVector(t *testing.T) {
	keys := testKeys(t)
	s, err := keys.Seal(keys.Current, []byte(testMessage), "1234567890", testNow, strings.NewReader("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	want := Sealed{Encrypt: testEncrypt, Signature: testSign, Timestamp: "1700000000", Nonce: "1234567890"}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Fatal(diff)
	}
	bodies := map[string]string{
		"xml":                     string(s.Envelope("gh_0123456789ab")),
		"json":                    `{"ToUserName":"gh_0123456789ab","Encrypt":"` + testEncrypt + `"}`,
		"compatible mode":         "<xml><FromUserName>oBBBBBBBBBBBBBBBBBBBBBBBBBBB</FromUserName><Encrypt>" + testEncrypt + "</Encrypt></xml>",
		"xml with a declaration":  `<?xml version="1.0" encoding="UTF-8"?>` + string(s.Envelope("gh")),
		"the shape of our replys": string(s.Reply()),
	}
	for name, body := range bodies {
		plain, used, err := keys.Open(keys.Query(s), []byte(body), testNow.Add(9*time.Minute))
		if err != nil || string(plain) != testMessage || used != keys.Current {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}

// sealRaw encrypts a frame as given, to make frames that Seal would not.
func sealRaw(t *testing.T, keys Keys, frame []byte) (url.Values, []byte) {
	t.Helper()
	s, err := keys.Seal(keys.Current, nil, "n", testNow, strings.NewReader("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	s.Encrypt = base64.StdEncoding.EncodeToString(encryptCBC(t, keys.Current, frame))
	s.Signature = Signature(keys.Token.Reveal(), s.Timestamp, s.Nonce, s.Encrypt)
	return keys.Query(s), s.Envelope("gh")
}

func TestOpen_Refuses(t *testing.T) {
	keys := testKeys(t)
	s, err := keys.Seal(keys.Current, []byte(testMessage), "n", testNow, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	good, body := keys.Query(s), s.Envelope("gh")
	with := func(key, value string) url.Values {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		q.Set(key, value)
		return q
	}
	frame := func(length string, tail string, pad ...byte) []byte {
		return append([]byte("0123456789abcdef"+length+tail), pad...)
	}
	pad := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	rawQuery := func(f []byte) (url.Values, []byte) { return sealRaw(t, keys, f) }
	type push struct {
		query url.Values
		body  []byte
	}
	raw := func(f []byte) push { q, b := rawQuery(f); return push{q, b} }
	foreign := keys
	foreign.AppID = "wxffffffffffffffff"
	fs, _ := foreign.Seal(keys.Current, []byte("x"), "n", testNow, rand.NewChaCha8([32]byte{}))
	for name, c := range map[string]struct {
		push
		now  time.Time
		want Cause
	}{
		"plain mode":                      {push{with("encrypt_type", "raw"), []byte(testMessage)}, testNow, CauseMode},
		"a plaintext body in secure mode": {push{good, []byte(testMessage)}, testNow, CauseMode},
		"no msg_signature":                {push{url.Values{"encrypt_type": {"aes"}}, body}, testNow, CauseMode},
		"an empty body":                   {push{good, nil}, testNow, CauseSize},
		"a giant body":                    {push{good, make([]byte, MaxBody+1)}, testNow, CauseSize},
		"half an envelope":                {push{good, body[:len(body)/2]}, testNow, CauseEnvelope},
		"an entity bomb":                  {push{good, []byte(`<!DOCTYPE x [<!ENTITY a "aa">]><xml><Encrypt>&a;</Encrypt></xml>`)}, testNow, CauseEnvelope},
		"a wrong signature":               {push{with("msg_signature", good.Get("signature")), body}, testNow, CauseSignature},
		"a changed nonce":                 {push{with("nonce", "m"), body}, testNow, CauseSignature},
		"a replay after ten minutes":      {push{good, body}, testNow.Add(601 * time.Second), CauseStale},
		"another account's push":          {push{foreign.Query(fs), fs.Envelope("gh")}, testNow, CauseAppID},
		"padding of zero":                 {raw(frame("\x00\x00\x00\x00", "abcdefghijk", 0)), testNow, CauseCipher},
		"padding of 33":                   {raw(frame("\x00\x00\x00\x00", strings.Repeat("a", 11), pad(33, 33)...)), testNow, CauseCipher},
		"one wrong byte of padding":       {raw(frame("\x00\x00\x00\x00", "aaaa", append(pad(7, 8), 8-1, 8, 8, 8, 8, 8)[:8]...)), testNow, CauseCipher},
		"a length beyond the frame":       {raw(frame("\x00\x00\x00\xff", "aaaa", pad(8, 8)...)), testNow, CauseCipher},
		"a length of four gigabytes":      {raw(frame("\xff\xff\xff\xff", "aaaa", pad(8, 8)...)), testNow, CauseCipher},
		"only padding":                    {raw(pad(32, 32)), testNow, CauseCipher},
	} {
		t.Run(name, func(t *testing.T) {
			plain, _, err := keys.Open(c.query, c.body, c.now)
			if !errors.Is(err, ErrRefused) || plain != nil {
				t.Fatalf("got %q, %v", plain, err)
			}
			if CauseOf(err) != c.want {
				t.Errorf("cause %s, want %s", CauseOf(err), c.want)
			}
			if err.Error() != ErrRefused.Error() {
				t.Errorf("the text tells them apart: %v", err)
			}
		})
	}
}

func TestOpen_PreviousKey(t *testing.T) {
	old := testKeys(t)
	s, err := old.Seal(old.Current, []byte("hello"), "n", testNow, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	rotated := old
	rotated.Current, rotated.Previous = mustKey(t, otherKey), old.Current
	plain, used, err := rotated.Open(rotated.Query(s), s.Envelope("gh"), testNow)
	if err != nil || string(plain) != "hello" || used != rotated.Previous {
		t.Fatalf("%q, %v", plain, err)
	}
	rotated.Previous = AESKey{}
	if _, _, err := rotated.Open(rotated.Query(s), s.Envelope("gh"), testNow); !errors.Is(err, ErrRefused) {
		t.Errorf("a dropped key still opens: %v", err)
	}
	if _, _, err := (Keys{}).Open(old.Query(s), s.Envelope("gh"), testNow); CauseOf(err) != CauseConfig {
		t.Errorf("empty keys: %v", err)
	}
}

func TestPrinting_MasksKeysAndPeople(t *testing.T) {
	keys := testKeys(t)
	e, err := Parse([]byte(strings.Replace(testMessage, "<MsgType><![CDATA[event]]>", "<Content>canary text</Content><MsgType><![CDATA[text]]>", 1)))
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v %+v %s %x %v", keys, keys.Current, keys.Current, keys.Current, e.DedupeKey())
	out += fmt.Sprint(e.OpenID, e.Content)
	for _, canary := range []string{"maodiantoken", "abcdef", "oAAAA", "canary", fmt.Sprintf("%x", e.DedupeKey().Bytes())} {
		if strings.Contains(strings.ReplaceAll(out, "wx0123456789abcdef", ""), canary) {
			t.Errorf("%q is printed: %s", canary, out)
		}
	}
	if _, err := json.Marshal(e.DedupeKey()); err == nil {
		t.Error("a dedupe key is marshalled")
	}
}

func FuzzOpenAndParse(f *testing.F) {
	keys := testKeys(f)
	for _, seed := range []string{testMessage, `{"CreateTime":1}`, "<xml></xml>", "<a><b></a></b>", "{", "\x00", "<!DOCTYPE a>"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _, err := keys.Open(url.Values{"encrypt_type": {"aes"}, "msg_signature": {testSign}}, message, testNow)
		if err == nil {
			t.Fatal("unsigned bytes were accepted")
		}
		s, err := keys.Seal(keys.Current, message, "n", testNow, rand.NewChaCha8([32]byte{1}))
		if len(message) > MaxBody {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		plain, _, err := keys.Open(keys.Query(s), s.Envelope("gh"), testNow)
		if err == nil != (len(s.Envelope("gh")) <= MaxBody) || (err == nil && !bytes.Equal(plain, message)) {
			t.Fatalf("round trip: %v", err)
		}
		e, err := Parse(message)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		again, _ := Parse(message)
		if err == nil && e.DedupeKey() != again.DedupeKey() {
			t.Fatal("unstable key")
		}
	})
}
