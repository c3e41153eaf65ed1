package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/clock"
)

// Refusal is how every refusal of a guard begins.
const Refusal = "residency: "

// Where is the place in which cases are tried.
type Where struct {
	// Governed and Free are two namespaces, of which the first carries the policy's mark.
	Governed, Free string
	// Manager is the user name of the operator, and Prober that under which it tries attacks.
	Manager, Prober string
	// Tenant is who attacks. Empty: somebody with every right.
	Tenant string
	// Values are what placeholders stand for, beside the namespaces. ${attestors} and
	// ${breakGlass} are the groups of who asks as such.
	Values Values
}

// Runner tries cases. Nothing that it sends is kept, but what cases name as given.
type Runner struct {
	config *rest.Config
	mapper meta.RESTMapper
	where  Where
	as     map[string]dynamic.Interface
	made   []request // what Prepare has made, in order
	clock  clock.PassiveClock
	absent map[string]bool // what it could not make, by topic and name: a guard refuses it
}

// NewRunner returns a runner that acts for whoever config may impersonate.
func NewRunner(config *rest.Config, w Where) (*Runner, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	return &Runner{config: config, mapper: mapper, where: w, as: map[string]dynamic.Interface{}, absent: map[string]bool{}, clock: clock.RealClock{}}, nil
}

// identity returns the user and the groups that a case asks as. All of them hold every
// right: a refusal is never that of the authorizer.
func (r *Runner) identity(as string) rest.ImpersonationConfig {
	id := rest.ImpersonationConfig{UserName: "alice", Groups: []string{"system:masters", "system:authenticated"}}
	switch {
	case as == "tenant" && r.where.Tenant != "":
		return rest.ImpersonationConfig{UserName: r.where.Tenant}
	case as == "attestor":
		id.Groups = append(id.Groups, r.where.Values["attestors"])
	case as == "break-glass":
		id.Groups = append(id.Groups, r.where.Values["breakGlass"])
	case as == "manager":
		id.UserName = r.where.Manager
	case strings.HasPrefix(as, "user:"):
		name, group, found := strings.Cut(strings.TrimPrefix(as, "user:"), "+")
		if id.UserName = name; found {
			roles := map[string]string{"attestor": r.where.Values["attestors"], "break-glass": r.where.Values["breakGlass"]}
			id.Groups = append(id.Groups, or(roles[group], group))
		}
	case strings.HasPrefix(as, "system:node:"):
		id.UserName, id.Groups = as, append(id.Groups, "system:nodes")
	case strings.HasPrefix(as, "system:"):
		id.UserName = as
	}
	return id
}

func (r *Runner) impersonating(as string) *rest.Config {
	config := rest.CopyConfig(r.config)
	config.Impersonate = r.identity(as)
	return config
}

func (r *Runner) client(as string) (dynamic.Interface, error) {
	if c := r.as[as]; c != nil {
		return c, nil
	}
	c, err := dynamic.NewForConfig(r.impersonating(as))
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", as, err)
	}
	r.as[as] = c
	return c, nil
}

// request is a case that has become concrete.
type request struct {
	Case

	object   *unstructured.Unstructured
	resource schema.GroupVersionResource
	kind     schema.GroupVersionKind
	spaced   bool // the kind lives in namespaces
}

// notApplicable tells why a case cannot be tried here.
type notApplicable string

func (n notApplicable) Error() string { return string(n) }

// text is a little more than 64 KiB of what a configuration may hold.
var text = strings.Repeat("brand.queue.size = 4096 # at most, see https://docs.brand.example/queue\n", 1000)[:1<<16+1]

func (r *Runner) values(namespace string) Values {
	out := Values{"namespace": namespace, "governed": r.where.Governed, "free": r.where.Free, "manager": r.where.Manager, "prober": r.where.Prober,
		"soon": r.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339), "64KiB": text[:1<<16], "more": text}
	for k, v := range r.where.Values {
		out[k] = v
	}
	return out
}

// parents are the kinds whose subresource takes an object of another kind.
var parents = map[string]schema.GroupVersionKind{
	"token":    {Version: "v1", Kind: "ServiceAccount"},
	"binding":  {Version: "v1", Kind: "Pod"},
	"eviction": {Version: "v1", Kind: "Pod"},
}

// concrete fills in a case for one namespace.
func (r *Runner) concrete(f File, c Case, namespace string) (request, error) {
	values := r.values(namespace)
	base := f.Objects[c.Object]
	if r.absent[f.Topic+"/"+c.Object] {
		return request{}, notApplicable("a guard that is in force refuses the object that the case presupposes")
	}
	if c.Verb == "create" {
		base = merge(base, c.Change)
	}
	object, err := c.fill(base, values)
	if err != nil {
		return request{}, err
	}
	gvk := object.GroupVersionKind()
	if about, ok := parents[c.Sub]; ok {
		gvk = about
	}
	mapping, err := r.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return request{}, notApplicable("kind " + gvk.Kind + " of " + gvk.Group + " is not installed")
	}
	if err != nil {
		return request{}, fmt.Errorf("find kind %s: %w", gvk.Kind, err)
	}
	req := request{Case: c, object: object, resource: mapping.Resource, kind: gvk, spaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}
	if req.spaced && namespace == "" {
		return request{}, notApplicable("no namespace is governed")
	}
	if req.spaced && object.GetNamespace() == "" { // what names a namespace stands there
		object.SetNamespace(namespace)
	}
	return req, nil
}

// fill puts values in the place of the case's placeholders, and returns its object.
func (c *Case) fill(base map[string]any, values Values) (*unstructured.Unstructured, error) {
	for _, name := range c.Needs {
		if values[name] == "" {
			return nil, notApplicable("the policy has no " + name)
		}
	}
	filled, missing := values.fill(map[string]any{"base": base, "change": c.Change, "as": c.As})
	if missing != "" {
		return nil, notApplicable("the policy has no " + missing)
	}
	parts, _ := filled.(map[string]any)
	c.As, _ = parts["as"].(string)
	c.Change, _ = parts["change"].(map[string]any)
	object := &unstructured.Unstructured{}
	object.Object, _ = parts["base"].(map[string]any)
	return object, nil
}

func (r *Runner) send(ctx context.Context, q request) (*unstructured.Unstructured, error) {
	if q.Verb == "connect" {
		return nil, r.connect(ctx, q)
	}
	c, err := r.client(q.As)
	if err != nil {
		return nil, err
	}
	var to dynamic.ResourceInterface = c.Resource(q.resource)
	if q.spaced {
		to = c.Resource(q.resource).Namespace(q.object.GetNamespace())
	}
	var sub []string
	if q.Sub != "" {
		sub = []string{q.Sub}
	}
	dry := []string{metav1.DryRunAll}
	switch q.Verb {
	case "update":
		patch, err := json.Marshal(q.Change)
		if err != nil {
			return nil, fmt.Errorf("write patch: %w", err)
		}
		return to.Patch(ctx, q.object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{DryRun: dry}, sub...)
	case "replace":
		now, err := to.Get(ctx, q.object.GetName(), metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read what to replace: %w", err)
		}
		now.Object = merge(now.Object, q.Change)
		return to.Update(ctx, now, metav1.UpdateOptions{DryRun: dry}, sub...)
	case "delete":
		return nil, to.Delete(ctx, q.object.GetName(), metav1.DeleteOptions{DryRun: dry}, sub...)
	}
	if q.Earnest {
		return r.make(ctx, to, q)
	}
	return to.Create(ctx, q.object, metav1.CreateOptions{DryRun: dry}, sub...)
}

// make creates in earnest, and removes again.
func (r *Runner) make(ctx context.Context, to dynamic.ResourceInterface, q request) (*unstructured.Unstructured, error) {
	got, err := to.Create(ctx, q.object, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return got, r.remove(ctx, q)
}

// remove deletes an object of the cluster, as one who may; what stands in a namespace of ours
// only loses its finalizers unless it was made in earnest, and goes with the namespace.
func (r *Runner) remove(ctx context.Context, q request) error {
	c, err := r.client("attestor")
	if err != nil {
		return err
	}
	var to dynamic.ResourceInterface = c.Resource(q.resource)
	if q.spaced {
		to = c.Resource(q.resource).Namespace(q.object.GetNamespace())
	}
	lasts := q.Earnest || !q.spaced || !slices.Contains([]string{r.where.Governed, r.where.Free}, q.object.GetNamespace())
	if len(q.object.GetFinalizers()) > 0 || !q.spaced { // the server adds some to volumes
		_, err = to.Patch(ctx, q.object.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	}
	if err == nil && lasts {
		err = to.Delete(ctx, q.object.GetName(), metav1.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s %s: %w", q.kind.Kind, q.object.GetName(), err)
	}
	return nil
}

// connect opens a way into a pod or a node. Where admission lets it pass, the server says
// that the other end does not answer: that is no refusal.
func (r *Runner) connect(ctx context.Context, q request) error {
	set, err := kubernetes.NewForConfig(r.impersonating(q.As))
	if err != nil {
		return fmt.Errorf("connect as %s: %w", q.As, err)
	}
	err = set.CoreV1().RESTClient().Post().NamespaceIfScoped(q.object.GetNamespace(), q.spaced).Resource(q.resource.Resource).Name(q.object.GetName()).
		SubResource(q.Sub).Param("command", "true").Param("stdout", "true").Do(ctx).Error()
	if err != nil && (strings.Contains(err.Error(), Refusal) || apierrors.IsForbidden(err)) {
		return err
	}
	return nil
}

// give makes an object that cases presuppose, and keeps it.
func (r *Runner) give(ctx context.Context, f File, name, namespace string) error {
	q, err := r.concrete(f, Case{Object: name, Verb: "create", As: "attestor"}, namespace)
	if err != nil {
		return err
	}
	c, err := r.client("attestor")
	if err != nil {
		return err
	}
	var to dynamic.ResourceInterface = c.Resource(q.resource)
	if q.spaced {
		to = c.Resource(q.resource).Namespace(q.object.GetNamespace())
	}
	if _, err := to.Get(ctx, q.object.GetName(), metav1.GetOptions{}); err == nil {
		return nil // it is not ours to remove
	}
	_, err = to.Create(ctx, q.object, metav1.CreateOptions{})
	switch {
	case err != nil && strings.Contains(err.Error(), Refusal):
		r.absent[f.Topic+"/"+name] = true
		return nil
	case err == nil:
		r.made = append(r.made, q)
	}
	return err
}

// Absent lists, by topic and name, what the last Prepare could not make since a guard in force
// refuses it: cases that presuppose it are skipped.
func (r *Runner) Absent() []string { return slices.Sorted(maps.Keys(r.absent)) }

// Prepare makes what the cases presuppose, in both namespaces. What is there it leaves alone.
func (r *Runner) Prepare(ctx context.Context, files []File) error {
	clear(r.absent)
	for _, f := range files {
		for _, name := range f.Given {
			for _, namespace := range []string{r.where.Governed, r.where.Free} {
				err := r.give(ctx, f, name, namespace)
				var skip notApplicable
				if err != nil && !errors.As(err, &skip) {
					return fmt.Errorf("%s: prepare %s: %w", f.Topic, name, err)
				}
			}
		}
	}
	return nil
}

// Clean removes what Prepare has made in the cluster, and the finalizers of the rest, which
// goes with its namespaces.
func (r *Runner) Clean(ctx context.Context) error {
	var errs []error
	for _, q := range slices.Backward(r.made) {
		errs = append(errs, r.remove(ctx, q))
	}
	r.made = nil
	return errors.Join(errs...)
}
