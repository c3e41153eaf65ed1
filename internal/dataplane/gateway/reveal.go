package gateway

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
)

// This file is the only one of the gateway that looks inside identifiers and credentials:
// for the store's RPC, the sealed cookie, the encrypted reply, and to compare with keywords.

// forStore returns the identifier as a request to the store carries it, inside mTLS.
func forStore(who subject.OpenID) string {
	return who.Reveal() //nolint:forbidigo // goes into an RPC to the store and nowhere else
}

// unionForStore is the same of the other identifier; empty is none.
func unionForStore(in session) string {
	return in.union.Reveal() //nolint:forbidigo // goes into an RPC to the store and nowhere else
}

// unionMark stands in a session between the two identifiers, neither of which has it.
const unionMark = "\n"

// forSession returns the bytes that are sealed into the session cookie.
func forSession(in session) []byte {
	all := in.who.Reveal() //nolint:forbidigo // sealed at once by sealer.keep
	if !in.union.IsZero() {
		all += unionMark + in.union.Reveal() //nolint:forbidigo // as above
	}
	return []byte(all)
}

// keywords is a set of folded words.
type keywords map[string]bool

func newKeywords(words []string) keywords {
	set := keywords{}
	for _, w := range words {
		set[fold(w)] = true
	}
	return set
}

// withdraws tells whether a person asks for withdrawal: in writing, or by a menu button
// with a keyword as its key.
func (k keywords) withdraws(e callback.Event) bool {
	switch e.Kind {
	case callback.KindText:
		return k[fold(e.Content.Reveal())] //nolint:forbidigo // compared, then forgotten
	case callback.KindClick:
		return k[fold(e.EventKey)]
	default:
		return false
	}
}

// fold makes texts equal that people take for the same word: full-width forms as Chinese
// keyboards write them, capitals, and blanks around.
func fold(s string) string {
	narrow := func(r rune) rune {
		switch {
		case r == '\u3000':
			return ' '
		case r >= '\uff01' && r <= '\uff5e':
			return r - 0xfee0
		}
		return r
	}
	return strings.ToLower(strings.TrimSpace(strings.Map(narrow, s)))
}

// textReply is a passive reply (被动回复) to the sender of an event, before encryption.
func textReply(e callback.Event, text string, at time.Time) []byte {
	var to, from, content bytes.Buffer
	_ = xml.EscapeText(&to, []byte(e.OpenID.Reveal())) //nolint:forbidigo // sealed at once by handler.reply; a bytes.Buffer does not fail
	_ = xml.EscapeText(&from, []byte(e.Account))
	_ = xml.EscapeText(&content, []byte(text))
	return fmt.Appendf(nil, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType>text</MsgType><Content>%s</Content></xml>", &to, &from, at.Unix(), &content)
}

// keys reads the callback keys out of the credentials.
func (c Credentials) keys(appID string) (callback.Keys, error) {
	k := callback.Keys{Token: c.Token, AppID: appID}
	var err error
	if k.Current, err = callback.ParseAESKey(c.EncodingAESKey.Reveal()); err != nil { //nolint:forbidigo // a credential, parsed into a type that masks it
		return callback.Keys{}, fmt.Errorf("%w: credential encodingAESKey: %w", config.ErrConfig, err)
	}
	if c.PreviousEncodingAESKey.IsZero() {
		return k, nil
	}
	if k.Previous, err = callback.ParseAESKey(c.PreviousEncodingAESKey.Reveal()); err != nil { //nolint:forbidigo // as above
		return callback.Keys{}, fmt.Errorf("%w: credential previousEncodingAESKey: %w", config.ErrConfig, err)
	}
	return k, nil
}

// derive makes a key from what all replicas share, so that none has to be stored.
func (c Credentials) derive(appID, use string) ([]byte, error) {
	secret := c.Token.Reveal() + "\x00" + c.EncodingAESKey.Reveal() //nolint:forbidigo // goes into a one-way function
	key, err := hkdf.Key(sha256.New, []byte(secret), []byte(appID), "maodian gateway "+use, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return key, nil
}
