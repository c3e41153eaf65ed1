package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/law"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
)

func newExplain(c *cluster, clock func() time.Time) *cobra.Command {
	explain := &cobra.Command{Use: "explain", Short: "Explain a decision of the cluster"}
	format := ""
	cmd := &cobra.Command{
		Use: "transfer NAME", Short: "Tell why a DataTransfer was refused, and what the rules say now",
		Long: "Tell what the cluster decided on a DataTransfer, and beside it what the rules say now of the objects that you may read.\n" +
			"How many people agreed is the store's secret, so that only the status knows it. Exits with 0 if it was allowed, with 2 if it was refused.",
		Example: "  kubectl maodian explain transfer leads-to-zurich -n brand-cn", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := c.config()
			if err != nil {
				return err
			}
			scheme, err := newScheme()
			if err != nil {
				return err
			}
			reader, err := client.New(config, client.Options{Scheme: scheme})
			if err != nil {
				return fmt.Errorf("reach the cluster: %w", err)
			}
			v, err := explainTransfer(cmd.Context(), reader, client.ObjectKey{Namespace: c.namespace(), Name: args[0]}, clock())
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), format, []verdict{v})
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	explain.AddCommand(cmd)
	return explain
}

// explainTransfer reads what may be read; what may not counts as unknown.
func explainTransfer(ctx context.Context, r client.Reader, key client.ObjectKey, now time.Time) (verdict, error) {
	t := &residencyv1.DataTransfer{}
	if err := r.Get(ctx, key, t); err != nil {
		return verdict{}, fmt.Errorf("read DataTransfer: %w", err)
	}
	m := &manifests{namespaces: map[string]string{}}
	var unread []string
	read := func(name string, list client.ObjectList, opts ...client.ListOption) error {
		err := r.List(ctx, list, opts...)
		if apierrors.IsForbidden(err) {
			unread = append(unread, name)
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", name, err)
		}
		return nil
	}
	ns := &corev1.Namespace{}
	if err := r.Get(ctx, client.ObjectKey{Name: key.Namespace}, ns); err == nil {
		m.add(ns)
	}
	var policies residencyv1.ResidencyPolicyList
	var holds residencyv1.RegulatoryHoldList
	var stores residencyv1.ConsentStoreList
	var notices residencyv1.PrivacyNoticeList
	var mechanisms residencyv1.TransferMechanismList
	here := client.InNamespace(key.Namespace)
	for _, err := range []error{
		read("ResidencyPolicies", &policies), read("RegulatoryHolds", &holds), read("ConsentStores", &stores, here),
		read("PrivacyNotices", &notices, here), read("TransferMechanisms", &mechanisms, here),
	} {
		if err != nil {
			return verdict{}, err
		}
	}
	m.policies, m.stores, m.notices, m.mechanisms = pointers(policies.Items), pointers(stores.Items), pointers(notices.Items), pointers(mechanisms.Items)
	m.holds = holds.Items
	f := m.facts(t, knownFacts{Now: now})
	f.Year = m.year(t, now)
	v := newVerdict(key.String(), f)
	return v.asDecided(t, unread), nil
}

// year is the counter that the policy's status shows. A number under 20 is taken for none,
// since more is not told.
func (m *manifests) year(t *residencyv1.DataTransfer, now time.Time) *transfer.Counter {
	p := m.policyOf(t.Namespace)
	if p == nil {
		return nil
	}
	var out transfer.Counter
	for _, c := range p.Status.TransferCounters {
		if c.Processor == p.Spec.Processor.Name && int(c.Year) == law.Year(now) {
			out.NonSensitive, _ = strconv.ParseInt(string(c.NonSensitivePersons), 10, 64)
			out.Sensitive, _ = strconv.ParseInt(string(c.SensitivePersons), 10, 64)
		}
	}
	return &out
}

// asDecided adds what the status says. A refusal of the cluster stands, whatever the rules
// say of what one may see.
func (v verdict) asDecided(t *residencyv1.DataTransfer, unread []string) verdict {
	st := t.Status
	v.Status = "not decided yet"
	if st.Decision != "" {
		v.Status = fmt.Sprintf("%s at %s", st.Decision, st.DecidedTime.UTC().Format(time.RFC3339))
	}
	if len(unread) > 0 {
		v.Status += "; you may not read " + strings.Join(unread, ", ")
	}
	for _, r := range st.Refusals {
		known := slices.ContainsFunc(v.Refusals, func(o objection) bool { return o.Code == r.Code })
		if !known {
			v.Refusals = append(v.Refusals, objection{
				Code: r.Code, Effect: string(reason.Lookup(reason.Code(r.Code)).Effect), Articles: r.Cites, Field: r.Field, Message: r.Message, Remedy: r.Remedy,
			})
		}
	}
	if st.Decision == residencyv1.DecisionRefused {
		v.Decision = string(st.Decision)
	}
	return v
}
