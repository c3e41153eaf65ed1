// Package applying is how controllers write to the API server: children by server-side
// apply under one field owner, the status by one patch and only where it differs.
package applying

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/maodian-dev/maodian/internal/desired"
)

// FieldOwner is the name under which the manager owns fields.
const FieldOwner = client.FieldOwner("maodian")

// Children applies objects in order. The same objects twice change nothing.
func Children(ctx context.Context, c client.Client, objects ...runtime.ApplyConfiguration) error {
	for _, o := range objects {
		if err := c.Apply(ctx, o, FieldOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("apply child: %w", err)
		}
	}
	return nil
}

// Status patches the status of after where it differs from before. A conflict means that
// somebody was faster: the caller looks again after retry.
func Status(ctx context.Context, c client.Client, before, after client.Object) (retry time.Duration, err error) {
	plain, err := client.MergeFrom(before).Data(after)
	if err != nil {
		return 0, fmt.Errorf("compare status: %w", err)
	}
	if string(plain) == "{}" {
		return 0, nil
	}
	err = c.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return conflictRetry, nil
	case err != nil && !apierrors.IsNotFound(err):
		return 0, fmt.Errorf("patch status: %w", err)
	}
	return 0, nil
}

const conflictRetry = 200 * time.Millisecond

// OwnerOf describes an object as the owner of its children.
func OwnerOf(o client.Object, scheme *runtime.Scheme) (desired.Owner, error) {
	gvk, err := apiutil.GVKForObject(o, scheme)
	if err != nil {
		return desired.Owner{}, fmt.Errorf("find kind of owner: %w", err)
	}
	return desired.Owner{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID()}, nil
}

// Jitter spreads objects over a fifth around base, each object always at the same place.
func Jitter(uid types.UID, base time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	return base*9/10 + time.Duration(int64(base/5)*int64(h.Sum32()%1000)/1000)
}

// Sooner returns the smaller of two waits; zero means no wait is asked for.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// IgnoreExists returns nil where an object was there already.
func IgnoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// ErrForeign says that an object of the name exists and is not ours.
var ErrForeign = errors.New("an object of this name belongs to somebody else")

// FirstError returns the first error of several that tell of the same trouble.
func FirstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
