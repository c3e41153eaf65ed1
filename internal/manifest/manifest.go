// Package manifest reads what a Git repository says of transfers: Kubernetes manifests,
// without a cluster. It is strict, as a typing error there would be believed for long: a
// field, a kind or a version that Maodian does not know is an error that tells where it is.
// Objects of other groups are none of its business.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// MaxSize bounds one file, in bytes.
const MaxSize = 4 << 20

// Codes of bad input. They never change.
const (
	CodeUnreadable  = "FileUnreadable"
	CodeTooLarge    = "FileTooLarge"
	CodeYAML        = "InvalidYAML"
	CodeNoObject    = "NotAnObject"
	CodeKind        = "UnknownKind"
	CodeField       = "UnknownField"
	CodeValue       = "InvalidValue"
	CodeName        = "NameMissing"
	CodeNamespace   = "NamespaceMissing"
	CodeDuplicate   = "DuplicateObject"
	CodeNoTransfer  = "NoTransfer"
	CodeManyPolicy  = "PolicyAmbiguous"
	CodeUnknownCode = "UnknownReason"
)

// Error is bad input: where it is, what is wrong, and what would be right.
type Error struct {
	Code     string
	File     string // empty: no file is to blame
	Document int    // in the file, from 1; 0: the file as a whole
	Wrong    string
	Right    string
}

// Error is the message for people, beginning with the code.
func (e *Error) Error() string {
	where := e.File
	if e.Document > 0 {
		where += fmt.Sprintf(", document %d", e.Document)
	}
	if where != "" {
		where += ": "
	}
	return e.Code + ": " + where + e.Wrong + "; " + e.Right
}

// Set is every object that was read, in the order of the files.
type Set struct {
	Transfers  []residencyv1.DataTransfer
	Policies   []residencyv1.ResidencyPolicy
	Stores     []residencyv1.ConsentStore
	Notices    []residencyv1.PrivacyNotice
	Mechanisms []residencyv1.TransferMechanism
	Holds      []residencyv1.RegulatoryHold
	Namespaces []corev1.Namespace

	namespace string
	seen      map[string]string // where an object was read
	decoder   runtime.Decoder
}

// decoder knows our kinds, and namespaces.
var decoder = sync.OnceValues(func() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Namespace{})
	if err := errors.Join(residencyv1.AddToScheme(scheme), marketingv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
})

// NewSet returns an empty set. The namespace is that of objects which name none; empty: they
// must name one.
func NewSet(namespace string) (*Set, error) {
	d, err := decoder()
	return &Set{namespace: namespace, seen: map[string]string{}, decoder: d}, err
}

// Read adds the objects of one file, which may hold several documents.
func (s *Set) Read(file string, in io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	switch {
	case err != nil:
		return &Error{Code: CodeUnreadable, File: file, Wrong: err.Error(), Right: "name a file that can be read"}
	case len(raw) > MaxSize:
		return &Error{Code: CodeTooLarge, File: file, Wrong: fmt.Sprintf("more than %d bytes", MaxSize), Right: "name the files with the manifests only"}
	}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &Error{Code: CodeYAML, File: file, Document: n, Wrong: err.Error(), Right: "correct the YAML"}
		}
		if wrong := s.add(fmt.Sprintf("%s, document %d", file, n), doc); wrong != nil {
			wrong.File, wrong.Document = file, n
			return wrong
		}
	}
}

// add reads one document; an empty one says nothing.
func (s *Set) add(where string, doc []byte) *Error {
	asJSON, err := yaml.YAMLToJSONStrict(doc)
	switch {
	case err != nil:
		return &Error{Code: CodeYAML, Wrong: oneLine(err), Right: "correct the YAML"}
	case bytes.Equal(asJSON, []byte("null")):
		return nil
	}
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(asJSON, &head); err != nil || head.Kind == "" || head.APIVersion == "" {
		return &Error{Code: CodeNoObject, Wrong: "no `apiVersion` and `kind`", Right: "every document is one Kubernetes object"}
	}
	gv, err := schema.ParseGroupVersion(head.APIVersion)
	switch {
	case err != nil:
		return &Error{Code: CodeNoObject, Wrong: oneLine(err), Right: "`apiVersion` is <group>/<version>"}
	case gv.Group == "" && head.Kind == "List":
		return &Error{Code: CodeKind, Wrong: "a List is not read", Right: "write each object as a document of its own, between lines of ---"}
	case !ours(gv, head.Kind):
		return nil
	}
	object, _, err := s.decoder.Decode(asJSON, nil, nil)
	if err != nil {
		return wrongObject(gv, head.Kind, err)
	}
	if wrong := wrongValues(gv.WithKind(head.Kind), asJSON); len(wrong) > 0 {
		return &Error{Code: CodeValue, Wrong: head.Kind + ": " + strings.Join(wrong, ", "), Right: "write values that an API server would take (docs/spec)"}
	}
	return s.keep(where, head.Kind, object)
}

// ours tells whether the decision could look at a kind.
func ours(gv schema.GroupVersion, kind string) bool {
	return gv.Group == "maodian.dev" || strings.HasSuffix(gv.Group, ".maodian.dev") || gv.Group == "" && kind == "Namespace"
}

func wrongObject(gv schema.GroupVersion, kind string, err error) *Error {
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		wrong := make([]string, len(strict.Errors()))
		for i, e := range strict.Errors() {
			wrong[i] = oneLine(e)
		}
		return &Error{Code: CodeField, Wrong: kind + ": " + strings.Join(wrong, ", "), Right: "correct the name, or remove it (docs/spec lists every field)"}
	}
	if runtime.IsNotRegisteredError(err) {
		return &Error{Code: CodeKind, Wrong: "no kind " + kind + " in " + gv.String(), Right: "correct `kind` and `apiVersion`: this version knows v1alpha1 of residency.maodian.dev and marketing.maodian.dev"}
	}
	return &Error{Code: CodeValue, Wrong: kind + ": " + oneLine(err), Right: "write a value of the field's type (docs/spec)"}
}

// oneLine keeps a message of a parser on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (s *Set) keep(where, kind string, object runtime.Object) *Error {
	o, ok := object.(metav1.Object)
	if !ok {
		return &Error{Code: CodeKind, Wrong: kind + " is a list", Right: "write each object as a document of its own, between lines of ---"}
	}
	if o.GetName() == "" {
		return &Error{Code: CodeName, Wrong: kind + " without a name", Right: "set `metadata.name`"}
	}
	switch object.(type) {
	case *corev1.Namespace, *residencyv1.ResidencyPolicy, *residencyv1.RegulatoryHold, *residencyv1.ResidencyException:
		o.SetNamespace("")
	default:
		if o.GetNamespace() == "" {
			o.SetNamespace(s.namespace)
		}
		if o.GetNamespace() == "" {
			return &Error{Code: CodeNamespace, Wrong: kind + " " + o.GetName() + " without a namespace", Right: "set `metadata.namespace`, or give one with -n"}
		}
	}
	key := strings.Join([]string{kind, o.GetNamespace(), o.GetName()}, "/")
	if before, twice := s.seen[key]; twice {
		return &Error{Code: CodeDuplicate, Wrong: kind + " " + o.GetName() + " was read from " + before + " already", Right: "keep one of the two"}
	}
	s.seen[key] = where
	s.append(object)
	return nil
}

// append keeps what a decision looks at.
func (s *Set) append(object runtime.Object) {
	switch o := object.(type) {
	case *residencyv1.DataTransfer:
		s.Transfers = append(s.Transfers, *o)
	case *residencyv1.TransferSchedule: // decided as if its time had come
		t := residencyv1.DataTransfer{Spec: o.Spec.Template.Spec}
		t.Name, t.Namespace = o.Name, o.Namespace
		s.Transfers = append(s.Transfers, t)
	case *residencyv1.ResidencyPolicy:
		s.Policies = append(s.Policies, *o)
	case *residencyv1.ConsentStore:
		s.Stores = append(s.Stores, *o)
	case *residencyv1.PrivacyNotice:
		s.Notices = append(s.Notices, *o)
	case *residencyv1.TransferMechanism:
		s.Mechanisms = append(s.Mechanisms, *o)
	case *residencyv1.RegulatoryHold:
		s.Holds = append(s.Holds, *o)
	case *corev1.Namespace:
		s.Namespaces = append(s.Namespaces, *o)
	}
}
