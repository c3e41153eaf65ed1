package wechat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Class says what a caller may do after a call (wechat.md 17).
type Class uint8

// The classes.
const (
	// OK: accepted by the platform.
	OK Class = iota
	// Retry: certainly not accepted; the same call may be made again later.
	Retry
	// Unknown: accepted or not, nobody can tell. Never send again without a key
	// that the platform deduplicates.
	Unknown
	// Token: the token was refused, also after one refresh. The send was not accepted.
	Token
	// Quota: a limit of the account is used up; pause until it resets.
	Quota
	// User: final for this recipient only.
	User
	// Program: the request is wrong; stop the campaign.
	Program
	// Human: someone has to act at the platform's console; stop the account.
	Human
)

// String gives the class's lower-case name, for labels and messages.
func (c Class) String() string {
	names := [...]string{"ok", "retry", "unknown", "token", "quota", "user", "program", "human"}
	if int(c) < len(names) {
		return names[c]
	}
	return "invalid"
}

// Reasons of errors without a code of the platform. A closed set.
const (
	ReasonConnect  = "connect"  // no connection, or TLS refused; nothing was sent
	ReasonBroken   = "broken"   // the connection ended before the answer did
	ReasonTimeout  = "timeout"  // no answer in time
	ReasonCanceled = "canceled" // the caller gave up
	ReasonStatus   = "status"   // an HTTP status other than 200
	ReasonRedirect = "redirect" // never followed
	ReasonSize     = "size"     // the answer is longer than any real one
	ReasonBody     = "body"     // the answer is not the platform's JSON
	ReasonRequest  = "request"  // refused here: the platform would refuse it
	ReasonStuck    = "stuck"    // the platform hands out a token that it refuses
	ReasonStorm    = "storm"    // too many token fetches; we stop before the platform does
	ReasonHost     = "host"     // a call to a host or account that is not set up
)

// Error is the only error that calls return. It holds nothing personal and no
// credential, so it may be shown: neither the URL nor the platform's free text is in it.
type Error struct {
	// Call is the API call, for instance "bizsend".
	Call string
	// Code is the platform's errcode, 0 if it gave none.
	Code  int64
	Class Class
	// RID is the platform's request id, for a support case.
	RID string
	// Status is the HTTP status if it was not 200.
	Status int
	// Reason is one of the Reason constants if there is no code.
	Reason string

	cause error // a context's error or nil
}

// Error tells call, class and code.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wechat %s: %s", e.Call, e.Class)
	if e.Code != 0 {
		fmt.Fprintf(&b, ", errcode %d", e.Code)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ", %s", e.Reason)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ", http status %d", e.Status)
	}
	if e.RID != "" {
		fmt.Fprintf(&b, ", rid %s", e.RID)
	}
	return b.String()
}

// Unwrap yields the context's error behind a timeout or a cancellation.
func (e *Error) Unwrap() error { return e.cause }

// ClassOf returns the class of a call's error, OK for nil. An error that is not of
// this package is Unknown, the careful reading.
func ClassOf(err error) Class {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unknown
}

// Codes that are named elsewhere in this package.
const (
	codeDuplicateMass = 45065
	codeBadSecret     = 40001 // of calls with the AppSecret; elsewhere it means a stale token
	codeInvalidCode   = 40029 // of the web authorisation, also for an expired one
	codeUsedCode      = 40163 // WeChat's browser may load a redirect twice
)

// codeClasses is the table of wechat.md 17. What it does not know is Program: an
// unknown refusal must stop the campaign, not burn its recipients.
var codeClasses = map[int64]Class{
	0: OK, codeDuplicateMass: OK, 40241: OK,
	-1: Retry, 45011: Retry, 42010: Retry, 45066: Retry,
	40001: Token, 40014: Token, 42001: Token,
	45009: Quota, 45028: Quota,
	40003: User, 43004: User, 43101: User, 43019: User, 43006: User, 45015: User,
	45047: User, 48002: User, 45087: User, 40252: User,
	40125: Human, 40164: Human, 40243: Human, 89501: Human, 89503: Human, 89506: Human,
	89507: Human, 50002: Human, 48003: Human, 48004: Human,
}

func classOf(code int64) Class {
	if c, ok := codeClasses[code]; ok {
		return c
	}
	return Program
}

// ridForm is a request id: three groups of hexadecimal digits, no room for more.
var ridForm = regexp.MustCompile(`\brid: ([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})\b`)

func ridOf(errmsg string) string {
	if m := ridForm.FindStringSubmatch(errmsg); m != nil {
		return m[1]
	}
	return ""
}

// reasonOf tells a timeout from a cancellation from a broken connection, and keeps
// the context's error only: the others' texts hold addresses.
func reasonOf(ctx context.Context, err error, otherwise string) (string, error) {
	for _, e := range []error{ctx.Err(), err} {
		switch {
		case errors.Is(e, context.Canceled):
			return ReasonCanceled, context.Canceled
		case errors.Is(e, context.DeadlineExceeded):
			return ReasonTimeout, context.DeadlineExceeded
		}
	}
	var timeout interface{ Timeout() bool }
	if otherwise == ReasonBroken && errors.As(err, &timeout) && timeout.Timeout() {
		return ReasonTimeout, context.DeadlineExceeded
	}
	return otherwise, nil
}
