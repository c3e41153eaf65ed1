package store

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"connectrpc.com/connect"

	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Server is the one door to a ledger.
type Server struct {
	Ledger store.Ledger
	// Namespace and Name of the ConsentStore: certificates of others are refused.
	Namespace, Name string
	Log             *slog.Logger
	// Peers reaches the processor's other stores; nil where this one counts alone.
	Peers *Peers
}

type roleKey struct{}

// Handler serves the seven services, each to the roles that may call it.
func (s *Server) Handler() http.Handler {
	opts := storeclient.HandlerOptions()
	opts = append(opts, connect.WithInterceptors(errorMapper{s.Log}))
	mux := http.NewServeMux()
	mount := func(kind identity.Kind, path string, h http.Handler) { mux.Handle(path, s.only(kind, h)) }
	path, h := storev1connect.NewControlServiceHandler(&control{s.Ledger, s.Peers}, opts...)
	mount(identity.Manager, path, h)
	path, h = storev1connect.NewIntakeServiceHandler(&intake{s.Ledger}, opts...)
	mount(identity.Gateway, path, h)
	path, h = storev1connect.NewDispatchServiceHandler(&dispatch{s.Ledger}, opts...)
	mount(identity.Dispatch, path, h)
	path, h = storev1connect.NewTransferServiceHandler(&transfers{s.Ledger}, opts...)
	mount(identity.Transfer, path, h)
	path, h = storev1connect.NewAggregateServiceHandler(&aggregates{s.Ledger}, opts...)
	mount(identity.Aggregate, path, h)
	path, h = storev1connect.NewOfficerServiceHandler(&officer{s.Ledger}, opts...)
	mount(identity.Officer, path, h)
	path, h = storev1connect.NewPeerServiceHandler(&peer{s.Ledger}, opts...)
	mount(identity.Peer, path, h)
	return mux
}

// only lets one kind of role of this very store through. The certificate was verified in
// the handshake; here it is asked what it may do.
func (s *Server) only(kind identity.Kind, next http.Handler) http.Handler {
	deny := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role, err := s.role(r)
		if err != nil || role.Kind != kind {
			_ = deny.Write(w, r, connect.NewError(connect.CodePermissionDenied, &store.Error{Word: "RoleDenied", Message: "this certificate may not call this service"}))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), roleKey{}, role)))
	})
}

func (s *Server) role(r *http.Request) (identity.Role, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return identity.Role{}, identity.ErrIdentity
	}
	role, err := identity.Of(r.TLS.PeerCertificates[0])
	if err == nil && (role.Namespace != s.Namespace || role.Store != s.Name) {
		err = identity.ErrIdentity
	}
	return role, err
}

// errScope says that a certificate is of the right kind, but for another object.
var errScope = connect.NewError(connect.CodePermissionDenied, &store.Error{Word: "RoleDenied", Message: "this certificate is for another object"})

// scoped compares the object of a call with the one in the caller's certificate.
func scoped(ctx context.Context, object func(identity.Role) string, got string) error {
	role, ok := ctx.Value(roleKey{}).(identity.Role)
	if !ok || object(role) != got || got == "" {
		return errScope
	}
	return nil
}

func name(r identity.Role) string { return r.Name }
func run(r identity.Role) string  { return r.Run }

// errorMapper turns the ledger's errors into codes with a stable word. Internal text stays
// in the store's own log.
type errorMapper struct{ log *slog.Logger }

// WrapUnary maps the errors of one call.
func (m errorMapper) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		return res, m.publish(req.Spec().Procedure, err)
	}
}

// WrapStreamingClient changes nothing: this side serves.
func (m errorMapper) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler maps the error that ends a stream.
func (m errorMapper) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return m.publish(conn.Spec().Procedure, next(ctx, conn))
	}
}

func (m errorMapper) publish(procedure string, err error) error {
	var known *store.Error
	var coded *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded): // it has its code already
		return err
	case errors.As(err, &known):
		return connect.NewError(codeOf(known), known)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, &store.Error{Word: "Deadline", Message: "the call was given up"})
	}
	m.log.Error("Call failed", "procedure", procedure, "error", err.Error())
	return connect.NewError(connect.CodeInternal, &store.Error{Word: "Internal", Message: "the log of the store says more"})
}

func codeOf(e *store.Error) connect.Code {
	is := func(list ...*store.Error) bool {
		return slices.ContainsFunc(list, func(x *store.Error) bool { return e.Is(x) })
	}
	switch {
	case is(store.ErrRunUnknown, store.ErrTransferUnknown, store.ErrPartUnknown, store.ErrGuardianLink, store.ErrNoConsents, store.ErrLetter):
		return connect.CodeNotFound
	case is(store.ErrInvalid, store.ErrAudience, store.ErrAsk, store.ErrReference):
		return connect.CodeInvalidArgument
	}
	return connect.CodeFailedPrecondition
}
