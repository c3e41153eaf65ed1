package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	rulepacks "github.com/maodian-dev/maodian/internal/law"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// live gathers what somebody may read of a transfer's surroundings. What they may not is
// named, and counts as unknown.
type live struct {
	reader  client.Reader
	now     time.Time
	unknown []string
	// blind: a thing that could refuse was not seen, so that nothing can be called allowed.
	blind bool
	// unread: somebody lacks a right, so that codes may be there for that alone.
	unread bool
	// unruled: it is not known which policy governs.
	unruled bool
}

func (l *live) missing(format string, args ...any) {
	l.unknown = append(l.unknown, fmt.Sprintf(format, args...))
}

// readable keeps an error apart from a right that somebody lacks, which is named.
func (l *live) readable(what string, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsForbidden(err):
		l.missing("you may not read %s", what)
		l.unread = true
		return false, nil
	}
	return false, fmt.Errorf("read %s: %w", what, err)
}

// facts are those of the rules' question now.
func (l *live) facts(ctx context.Context, t *residencyv1.DataTransfer) (transfer.Facts, error) {
	in := gather.TransferInput{Now: l.now, Transfer: t, Store: &storev1.GetTransferFactsResponse{YoungAtMost: subject.Few - 1}}
	if err := l.objects(ctx, &in); err != nil {
		return transfer.Facts{}, err
	}
	counted, agreed := l.count(in.Policy, in.Store), l.people(t.Status, in.Store)
	f := gather.TransferFacts(in)
	if !counted {
		f.Year = nil
	}
	if !agreed {
		f.People = nil
		l.blind = l.blind || f.Pack == nil || f.Pack.Personal(f.Request.Categories)
	}
	return f, nil
}

// objects reads what stands around the transfer.
func (l *live) objects(ctx context.Context, in *gather.TransferInput) (err error) {
	if in.Policy, err = l.policy(ctx, in.Transfer.Namespace); err != nil {
		return err
	}
	if in.Notice, err = l.notice(ctx, in.Transfer); err != nil {
		return err
	}
	if in.Mechanism, err = l.mechanism(ctx, in.Transfer); err != nil {
		return err
	}
	var holds residencyv1.RegulatoryHoldList
	read, err := l.readable("RegulatoryHolds", l.reader.List(ctx, &holds))
	l.blind = l.blind || !read
	in.Holds = holds.Items
	return err
}

func (l *live) mechanism(ctx context.Context, t *residencyv1.DataTransfer) (*residencyv1.TransferMechanism, error) {
	name := t.Spec.MechanismRef.Name
	if name == "" {
		return nil, nil
	}
	m, err := gather.Find[residencyv1.TransferMechanism](ctx, l.reader, t.Namespace, name)
	read, err := l.readable("TransferMechanism "+name, err)
	if l.blind = l.blind || !read; read && m == nil {
		l.missing("there is no TransferMechanism %s", name)
	}
	return m, err
}

// policy is the one that governs a namespace: by its label, or for somebody who may not read
// it, by the list in the policy's status.
func (l *live) policy(ctx context.Context, namespace string) (*residencyv1.ResidencyPolicy, error) {
	ns, err := gather.Find[corev1.Namespace](ctx, l.reader, "", namespace)
	read, err := l.readable("Namespace "+namespace, err)
	if err != nil {
		return nil, err
	}
	if read {
		if ns == nil || ns.Labels[metav1alpha1.PolicyLabel] == "" {
			l.missing("Namespace %s has no label %s", namespace, metav1alpha1.PolicyLabel)
			return nil, nil
		}
		name := ns.Labels[metav1alpha1.PolicyLabel]
		p, err := gather.Find[residencyv1.ResidencyPolicy](ctx, l.reader, "", name)
		read, err := l.readable("ResidencyPolicy "+name, err)
		if l.unruled = !read; read && p == nil {
			l.missing("there is no ResidencyPolicy %s", name)
		}
		return p, err
	}
	l.unruled = true
	var all residencyv1.ResidencyPolicyList
	if read, err := l.readable("ResidencyPolicies", l.reader.List(ctx, &all)); err != nil || !read {
		return nil, err
	}
	for i := range all.Items {
		if slices.Contains(all.Items[i].Status.GovernedNamespaces, namespace) {
			l.unruled = false
			return &all.Items[i], nil
		}
	}
	l.missing("no ResidencyPolicy lists namespace %s in its status", namespace)
	return nil, nil
}

// notice is the published one of the transfer's store.
func (l *live) notice(ctx context.Context, t *residencyv1.DataTransfer) (*residencyv1.PrivacyNotice, error) {
	name := t.Spec.StoreRef.Name
	store, err := gather.Find[residencyv1.ConsentStore](ctx, l.reader, t.Namespace, name)
	read, err := l.readable("ConsentStore "+name, err)
	switch {
	case err != nil || !read:
		return nil, err
	case store == nil:
		l.missing("there is no ConsentStore %s", name)
		return nil, nil
	}
	n, err := gather.PublishedNotice(ctx, l.reader, store)
	read, err = l.readable("PrivacyNotice "+store.Spec.NoticeRef.Name, err)
	if read && n == nil {
		l.missing("PrivacyNotice %s is not there, or its present revision is not published", store.Spec.NoticeRef.Name)
	}
	return n, err
}

// count takes the policy's counters, which are rounded, at their upper bound. What went to
// this recipient is at most what went to everybody in this year and the last.
func (l *live) count(p *residencyv1.ResidencyPolicy, out *storev1.GetTransferFactsResponse) bool {
	if p == nil {
		return false
	}
	pack := rulepacks.Named(p.Spec.RulePack)
	if pack == nil {
		return false
	}
	year, recent := transfer.Counter{}, transfer.Counter{}
	this := law.Year(l.now)
	for y := min(pack.Count.Since(l.now), this-1); y <= this; y++ {
		c, ok := l.year(p, y)
		if !ok {
			l.missing("ResidencyPolicy %s does not tell the counter of %d yet", p.Name, y)
			return false
		}
		if y >= pack.Count.Since(l.now) {
			year = year.Plus(c)
		}
		if y >= this-1 {
			recent = recent.Plus(c)
		}
	}
	out.NonSensitiveAtMost, out.SensitiveAtMost = year.NonSensitive, year.Sensitive
	out.RecentNonSensitiveAtMost, out.RecentSensitiveAtMost = recent.NonSensitive, recent.Sensitive
	return true
}

// year reads one counter. Before the policy was made there is none.
func (l *live) year(p *residencyv1.ResidencyPolicy, year int) (transfer.Counter, bool) {
	for _, c := range p.Status.TransferCounters {
		if int(c.Year) != year || c.Processor != p.Spec.Processor.Name {
			continue
		}
		plain, plainOK := l.atMost(year, "without", c.NonSensitivePersons)
		sensitive, sensitiveOK := l.atMost(year, "with", c.SensitivePersons)
		return transfer.Counter{NonSensitive: plain, Sensitive: sensitive}, plainOK && sensitiveOK
	}
	return transfer.Counter{}, year < law.Year(p.CreationTimestamp.Time)
}

func (l *live) atMost(year int, kind string, n metav1alpha1.PeopleCount) (int64, bool) {
	if small, ok := strings.CutPrefix(string(n), "<"); ok {
		few, err := strconv.ParseInt(small, 10, 64)
		l.missing("%s people %s sensitive data in %d: counted as %d", n, kind, year, few-1)
		return few - 1, err == nil
	}
	exact, err := strconv.ParseInt(string(n), 10, 64)
	return exact, err == nil
}

// people says whether anybody agreed, as far as the decision in status tells.
func (l *live) people(st residencyv1.DataTransferStatus, out *storev1.GetTransferFactsResponse) bool {
	agreed := st.Decision == residencyv1.DecisionAllowed
	if st.Decision == residencyv1.DecisionRefused {
		agreed = true
		for _, r := range st.Refusals {
			switch reason.Lookup(reason.Code(r.Code)).Effect {
			case reason.Filter:
				out.Excluded = append(out.Excluded, r.Code)
			case reason.Terminal:
				agreed = false
			default:
				agreed = agreed && !slices.Contains(unasked, reason.Code(r.Code))
			}
		}
	}
	if out.AnyoneConsents = agreed && len(out.Excluded) == 0; out.AnyoneConsents || len(out.Excluded) > 0 {
		l.missing("whether anybody agrees is as at the decision in status; up to %d of them are taken to be under 14", subject.Few-1)
		return true
	}
	l.missing("whether anybody agrees: the status does not tell")
	return false
}

// unasked are codes beside which nobody was asked about people.
var unasked = []reason.Code{reason.CounterUnavailable, reason.PolicyMissing, reason.PolicyStale, reason.RulePackUnknown, reason.RulePackNotInForce}
