// Package crdtest checks objects against the CRDs in config/crd/bases as the API server
// does (unknown fields, defaults, schema, list types, CEL with the old object), in process
// and in milliseconds.
package crdtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuralcel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apiservervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Rule is one CEL rule of a kind. The same rule may stand at several places of its schema.
type Rule struct {
	Kind, Rule, Message string
}

// Validator knows the kinds of one folder of CRDs.
type Validator struct {
	kinds map[schema.GroupVersionKind]*kind
}

type kind struct {
	structural *structuralschema.Structural
	schema     apiservervalidation.SchemaValidator
	cel        *structuralcel.Validator
}

// Load reads every CRD in dir and refuses one that the API server would refuse, the cost
// budget of its rules included.
func Load(dir string) (*Validator, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list CRDs: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no CRD in %s", dir)
	}
	v := &Validator{kinds: map[schema.GroupVersionKind]*kind{}}
	for _, f := range files {
		if err := v.load(f); err != nil {
			return nil, fmt.Errorf("load %s: %w", filepath.Base(f), err)
		}
	}
	return v, nil
}

func (v *Validator) load(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var outer apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &outer); err != nil {
		return err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&outer)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&outer.Spec)
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&outer, &crd, nil); err != nil {
		return err
	}
	// The API server fills this in; the validation below wants it.
	for _, version := range crd.Spec.Versions {
		crd.Status.StoredVersions = append(crd.Status.StoredVersions, version.Name)
	}
	if errs := apiextensionsvalidation.ValidateCustomResourceDefinition(context.Background(), &crd); len(errs) > 0 {
		return errs.ToAggregate()
	}
	for _, version := range crd.Spec.Versions {
		props := version.Schema
		if props == nil {
			props = crd.Spec.Validation
		}
		k, err := compile(props)
		if err != nil {
			return err
		}
		v.kinds[schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = k
	}
	return nil
}

func compile(props *apiextensions.CustomResourceValidation) (*kind, error) {
	s, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("read structural schema: %w", err)
	}
	sv, _, err := apiservervalidation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return &kind{structural: s, schema: sv, cel: structuralcel.NewValidator(s, true, celconfig.PerCallLimit)}, nil
}

// Kinds returns the kinds that Load found.
func (v *Validator) Kinds() []string {
	var out []string
	for gvk := range v.kinds {
		out = append(out, gvk.Kind)
	}
	return out
}

// Knows reports whether obj is of one of the kinds that Load found.
func (v *Validator) Knows(obj *unstructured.Unstructured) bool {
	return v.kinds[obj.GroupVersionKind()] != nil
}

// Default returns obj as the API server would store it.
func (v *Validator) Default(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := obj.DeepCopy()
	if k := v.kinds[obj.GroupVersionKind()]; k != nil {
		defaulting.Default(out.Object, k.structural)
	}
	return out
}

// Validate says what the API server would say to obj; old is nil for a new object.
func (v *Validator) Validate(ctx context.Context, obj, old *unstructured.Unstructured) error {
	k := v.kinds[obj.GroupVersionKind()]
	if k == nil {
		return fmt.Errorf("no CRD for %s", obj.GroupVersionKind())
	}
	strict := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	if unknown := pruning.PruneWithOptions(obj.DeepCopy().Object, k.structural, true, strict); len(unknown) > 0 {
		return fmt.Errorf("unknown field: %s", strings.Join(unknown, ", "))
	}
	next := v.Default(obj).Object
	var before map[string]any
	if old != nil {
		before = v.Default(old).Object
	}
	return k.validate(ctx, next, before).ToAggregate()
}

func (k *kind) validate(ctx context.Context, next, before map[string]any) field.ErrorList {
	errs := apiservervalidation.ValidateCustomResource(nil, next, k.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, next)...)
	if k.cel == nil {
		return errs
	}
	// A nil map inside a non-nil interface would look like an old object.
	var oldObject any
	if before != nil {
		oldObject = before
	}
	celErrs, _ := k.cel.Validate(ctx, nil, k.structural, next, oldObject, celconfig.RuntimeCELCostBudget)
	return append(errs, celErrs...)
}

// Rules returns every CEL rule of every kind, each once.
func (v *Validator) Rules() []Rule {
	seen := map[Rule]bool{}
	var out []Rule
	for gvk, k := range v.kinds {
		walk(k.structural, func(s *structuralschema.Structural) {
			for _, x := range s.XValidations {
				if r := (Rule{gvk.Kind, x.Rule, x.Message}); !seen[r] {
					seen[r] = true
					out = append(out, r)
				}
			}
		})
	}
	return out
}

func walk(s *structuralschema.Structural, visit func(*structuralschema.Structural)) {
	if s == nil {
		return
	}
	visit(s)
	walk(s.Items, visit)
	if s.AdditionalProperties != nil {
		walk(s.AdditionalProperties.Structural, visit)
	}
	for name := range s.Properties {
		p := s.Properties[name]
		walk(&p, visit)
	}
}

// Read returns the objects of a YAML file that may hold several documents.
func Read(file string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	var out []*unstructured.Unstructured
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("split %s: %w", filepath.Base(file), err)
		}
		asJSON, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", filepath.Base(file), err)
		}
		if bytes.Equal(asJSON, []byte("null")) {
			continue
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(asJSON); err != nil {
			return nil, fmt.Errorf("decode %s: %w", filepath.Base(file), err)
		}
		out = append(out, obj)
	}
}
