package manifest

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
)

// Facts gathers what the decision on one transfer of the set looks at, by the function of the
// manager, and lists what is not known.
func (s *Set) Facts(t *residencyv1.DataTransfer, n Numbers, now time.Time) (transfer.Facts, []string, error) {
	var unknown []string
	missing := func(what string) { unknown = append(unknown, what) }
	policy, err := s.policy(t.Namespace, missing)
	if err != nil {
		return transfer.Facts{}, nil, err
	}
	in := gather.TransferInput{Now: now, Transfer: t, Policy: policy, Notice: s.notice(t, missing), Holds: s.Holds}
	if name := t.Spec.MechanismRef.Name; name != "" {
		if in.Mechanism = find(s.Mechanisms, t.Namespace, name); in.Mechanism == nil {
			missing("TransferMechanism " + name + " is not among the files")
		}
	}
	told := n.of(t, policy)
	in.Store = told.answer
	f := gather.TransferFacts(in)
	if !told.year {
		f.Year = nil
	}
	if !told.people && !told.year { // the counter refuses: whether anybody agrees is not claimed
		f.People = nil
	}
	if len(t.Spec.Aggregates) > 0 { // counts are about nobody: no number of a store is asked for
		return f, unknown, nil
	}
	return f, append(unknown, told.unknown...), nil
}

// policy is the one that the namespace names, or the only one.
func (s *Set) policy(namespace string, missing func(string)) (*residencyv1.ResidencyPolicy, error) {
	if ns := find(s.Namespaces, "", namespace); ns != nil {
		return s.labelled(ns, missing), nil
	}
	switch len(s.Policies) {
	case 0:
		missing("no ResidencyPolicy is among the files")
		return nil, nil
	case 1:
		missing("Namespace " + namespace + " is not among the files: the only policy is taken to govern it")
		return &s.Policies[0], nil
	}
	names := make([]string, len(s.Policies))
	for i, p := range s.Policies {
		names[i] = p.Name
	}
	slices.Sort(names)
	return nil, &Error{
		Code: CodeManyPolicy, Wrong: "there are policies " + strings.Join(names, ", ") + ", and nothing says which one governs namespace " + namespace,
		Right: "add the manifest of the Namespace, with its label " + metav1alpha1.PolicyLabel,
	}
}

func (s *Set) labelled(ns *corev1.Namespace, missing func(string)) *residencyv1.ResidencyPolicy {
	name := ns.Labels[metav1alpha1.PolicyLabel]
	if name == "" {
		missing("Namespace " + ns.Name + " has no label " + metav1alpha1.PolicyLabel)
		return nil
	}
	p := find(s.Policies, "", name)
	if p == nil {
		missing("ResidencyPolicy " + name + ", which Namespace " + ns.Name + " names, is not among the files")
	}
	return p
}

// notice is that of the transfer's store, if the manager would publish it.
func (s *Set) notice(t *residencyv1.DataTransfer, missing func(string)) *residencyv1.PrivacyNotice {
	store := find(s.Stores, t.Namespace, t.Spec.StoreRef.Name)
	if store == nil {
		missing("ConsentStore " + t.Spec.StoreRef.Name + ", and so its notice, is not among the files")
		return nil
	}
	n := find(s.Notices, t.Namespace, store.Spec.NoticeRef.Name)
	if n == nil {
		missing("PrivacyNotice " + store.Spec.NoticeRef.Name + " is not among the files")
		return nil
	}
	if left := notice.Refusals(notice.Missing(notice.Facts{Notice: gather.Notice(n.Spec), Guardian: true})); len(left) > 0 {
		missing("PrivacyNotice " + n.Name + " would not be published: " + left[0].String())
		return nil
	}
	return n
}

// named lets find look into a list of a kind.
type named[T any] interface {
	*T
	metav1.Object
}

func find[T any, P named[T]](list []T, namespace, name string) P {
	for i := range list {
		if o := P(&list[i]); o.GetNamespace() == namespace && o.GetName() == name {
			return o
		}
	}
	return nil
}
