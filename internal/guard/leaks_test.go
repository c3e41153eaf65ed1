package guard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// closed waits for the policies that install does not try otherwise, one attack each.
func closed(ctx context.Context, policy, namespace string) error {
	host, volume, image := pod(namespace), pod(namespace), pod(namespace)
	host.Spec.HostNetwork = true
	volume.Spec.Volumes = []corev1.Volume{nfs()}
	image.Spec.Containers[0].Image = "elsewhere.test/x"
	var errs []error
	for name, o := range map[string]client.Object{
		"pod-host": host, "pod-volumes": volume, "images": image,
		"services":  service(namespace, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }),
		"endpoints": &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"}, AddressType: discoveryv1.AddressTypeIPv4},
		"copies":    &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe", Annotations: map[string]string{"kubed.appscode.com/sync": "x"}}},
		"roles":     roleBinding(namespace, rbacv1.Subject{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: "system:authenticated"}),
		"claims":    claim(namespace, "anywhere"), "storage-classes": &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: policy + "-probe"}, Provisioner: "x"},
	} {
		if err := rig.Client.Create(ctx, o, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "-"+name+"'") {
			errs = append(errs, errors.New(name+": not yet enforced"))
		}
	}
	return errors.Join(errs...)
}

func nfs() corev1.Volume {
	return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "x", Path: "/"}}}
}

func service(namespace string, changes ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("service")},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "x"}, Ports: []corev1.ServicePort{{Port: 443}}},
	}
	for _, change := range changes {
		change(s)
	}
	return s
}

func roleBinding(namespace string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("roles")}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "view"},
	}
}

func claim(namespace, class string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("claim")},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

// attack is a change that a guard refuses. Without a guard the API server takes it: an
// attack that fails anyway would prove nothing.
type attack[T client.Object] struct {
	leak   string // row of leaks.md
	change func(T)
	says   string
}

// try sends every attack into a governed and into an ungoverned namespace.
func try[T client.Object](t *testing.T, make func(namespace string) T, governed string, attacks map[string]attack[T]) {
	t.Helper()
	free := rig.Namespace(t, "")
	for name, a := range attacks {
		t.Run(a.leak+" "+name, func(t *testing.T) {
			outside := make(free)
			a.change(outside)
			if err := rig.Client.Create(t.Context(), outside, client.DryRunAll); err != nil {
				t.Errorf("refused where nothing is governed: %v", err)
			}
			inside := make(governed)
			a.change(inside)
			refused(t, rig.Client.Create(t.Context(), inside, client.DryRunAll), a.says)
		})
	}
}

// refused wants the words, behind a stable code.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "residency: ") || !strings.Contains(err.Error(), says) {
		t.Errorf("error = %v, want a refusal that says %q", err, says)
	}
}

func TestWaysAroundTheNodeAreClosed(t *testing.T) {
	ns := install(t, policy(rig.Name("host")))
	first := func(p *corev1.Pod) *corev1.Container { return &p.Spec.Containers[0] }
	try(t, pod, ns, map[string]attack[*corev1.Pod]{
		"the node's network":       {"L09", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "HostAccessClosed: `hostNetwork`"},
		"the node's processes":     {"L09", func(p *corev1.Pod) { p.Spec.HostPID = true }, "HostAccessClosed: `hostNetwork`"},
		"the node's shared memory": {"L09", func(p *corev1.Pod) { p.Spec.HostIPC = true }, "HostAccessClosed: `hostNetwork`"},
		"a port of the node":       {"L09", func(p *corev1.Pod) { first(p).Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}} }, "HostAccessClosed: `hostPort`"},
		"a privileged container": {"L09", func(p *corev1.Pod) {
			first(p).SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
		}, "HostAccessClosed: `privileged`"},
		"a privileged init container": {"L09", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "registry.maodian.test/x", SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)}}}
		}, "HostAccessClosed: `privileged`"},
		"a resolver of its own": {"L75", func(p *corev1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.1"}}
		}, "HostAccessClosed: `dnsPolicy`"},
		"the node's resolver": {"L75", func(p *corev1.Pod) { p.Spec.DNSPolicy = corev1.DNSDefault }, "HostAccessClosed: `dnsPolicy`"},
		"a name written by hand": {"L09", func(p *corev1.Pod) {
			p.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"sh.api.weixin.qq.com"}}}
		}, "HostAccessClosed: `hostAliases`"},
	})
	t.Run("L09 the node's network in a template", func(t *testing.T) {
		d := deployment(ns)
		d.Spec.Template.Spec.HostNetwork = true
		refused(t, rig.Client.Create(t.Context(), d, client.DryRunAll), "HostAccessClosed")
	})
}

func TestOnlyPinnedVolumesAreMounted(t *testing.T) {
	p := policy(rig.Name("volumes"))
	ns := install(t, p)
	volume := func(s corev1.VolumeSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: s}} }
	}
	ephemeral := func(class string) corev1.VolumeSource {
		c := claim("", class)
		return corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: c.Spec}}}
	}
	image := func(reference string) corev1.VolumeSource {
		return corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: reference}}
	}
	const typed = "StorageNotMainland: the type of volume v is closed"
	try(t, pod, ns, map[string]attack[*corev1.Pod]{
		"NFS":                             {"L10", volume(nfs().VolumeSource), typed},
		"a path":                          {"L10", volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}), typed},
		"iSCSI":                           {"L10", volume(corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "x", IQN: "iqn.2001-04.com.example:x", Lun: 1}}), typed},
		"inline CSI":                      {"L10", volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "x"}}), typed},
		"an ephemeral claim of any class": {"L11", volume(ephemeral("anywhere")), "StorageNotMainland: an ephemeral volume"},
		"an image from abroad":            {"L12", volume(image("elsewhere.test/x")), "ImageNotInPolicy: an image volume"},
		"a device by claim": {"L84", func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "d", ResourceClaimName: ptr.To("d")}}
		}, "StorageNotMainland: `resourceClaims`"},
	})
	for name, s := range map[string]corev1.VolumeSource{
		"memory": {EmptyDir: &corev1.EmptyDirVolumeSource{}}, "a Secret": {Secret: &corev1.SecretVolumeSource{SecretName: "s"}},
		"a claim":                  {PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}},
		"a pinned ephemeral claim": ephemeral(p.Spec.Storage.ClassPrefix + "x"), "an image of the policy": image("registry.maodian.test/x"),
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			o := pod(ns)
			volume(s)(o)
			if err := rig.Client.Create(t.Context(), o, client.DryRunAll); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestImagesComeFromRegistriesOfThePolicy(t *testing.T) {
	ns := install(t, policy(rig.Name("images")))
	image := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Containers[0].Image = name }
	}
	try(t, pod, ns, map[string]attack[*corev1.Pod]{
		"from abroad":       {"L14", image("elsewhere.test/x"), "ImageNotInPolicy: image elsewhere.test/x"},
		"from a look-alike": {"L14", image("registry.maodian.test.evil.test/x"), "ImageNotInPolicy"},
		"of no registry":    {"L14", image("x"), "ImageNotInPolicy"},
		"a sidecar": {"L15", func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "log", Image: "elsewhere.test/log"})
		}, "ImageNotInPolicy"},
		"before the others": {"L14", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "elsewhere.test/x"}}
		}, "ImageNotInPolicy"},
	})
}

func TestClaimsKeepToPinnedClasses(t *testing.T) {
	p := policy(rig.Name("claims"))
	ns, class := install(t, p), p.Spec.Storage.ClassPrefix+"disk"
	try(t, func(namespace string) *corev1.PersistentVolumeClaim { return claim(namespace, class) }, ns, map[string]attack[*corev1.PersistentVolumeClaim]{
		"another class":          {"L24", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("anywhere") }, "`storageClassName` must begin with"},
		"a default class, later": {"L24", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }, "`storageClassName` must begin with"},
		"no class":               {"L25", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("") }, "`storageClassName` must begin with"},
		"a volume by name":       {"L25", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv" }, "`volumeName` may not be set"},
		"a volume by label": {"L25", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}, "`selector` may not be set"},
		"a node by annotation": {"L26", func(c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "hk1"}
		}, "steers where the volume is made"},
		"a populator": {"L27", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: ptr.To("x.test"), Kind: "Import", Name: "x"}
		}, "`dataSourceRef` must name a claim or a snapshot, not a Import"},
		"an attributes class": {"L28", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeAttributesClassName = ptr.To("copies") }, "`volumeAttributesClassName` must begin with"},
	})
	c := claim(ns, class)
	rig.Create(t, c)
	selects := func(who client.Client) error {
		o := c.DeepCopy()
		o.Annotations = map[string]string{"volume.kubernetes.io/selected-node": "hz1"}
		return who.Patch(t.Context(), o, client.MergeFrom(c), client.DryRunAll)
	}
	refused(t, selects(rig.Client), "the scheduler alone writes it")
	if err := selects(rig.As(t, "system:kube-scheduler", "system:masters")); err != nil {
		t.Errorf("the scheduler may not choose the node: %v", err)
	}
}

func TestClassesThatCarryThePrefixArePinned(t *testing.T) {
	p := policy(rig.Name("classes"))
	install(t, p)
	class := func() *storagev1.StorageClass {
		return &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: p.Spec.Storage.ClassPrefix + "disk"}, Provisioner: "local.maodian.dev",
			VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			AllowedTopologies: []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
				{Key: "topology.kubernetes.io/zone", Values: []string{"cn-hangzhou-h", "cn-north-1a"}},
			}}},
		}
	}
	for name, a := range map[string]attack[*storagev1.StorageClass]{
		"another driver":  {"L30", func(c *storagev1.StorageClass) { c.Provisioner = "disk.example" }, "`provisioner` must be one of"},
		"made at once":    {"L30", func(c *storagev1.StorageClass) { c.VolumeBindingMode = nil }, "`volumeBindingMode` must be"},
		"without a place": {"L30", func(c *storagev1.StorageClass) { c.AllowedTopologies = nil }, "every term of `allowedTopologies`"},
		"a zone abroad": {"L21", func(c *storagev1.StorageClass) {
			c.AllowedTopologies[0].MatchLabelExpressions[0].Values[1] = "cn-hongkong-b"
		}, "every term of `allowedTopologies`"},
		"another key": {"L30", func(c *storagev1.StorageClass) { c.AllowedTopologies[0].MatchLabelExpressions[0].Key = "rack" }, "every term of `allowedTopologies`"},
		"a second term": {"L30", func(c *storagev1.StorageClass) {
			c.AllowedTopologies = append(c.AllowedTopologies, corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "rack", Values: []string{"1"}}}})
		}, "every term of `allowedTopologies`"},
		"a foreign zone": {"L30", func(c *storagev1.StorageClass) {
			c.Parameters = map[string]string{"diskZone": "cn-hangzhou-h,ap-hongkong-1"}
		}, "`parameters` diskZone"},
		"a server":   {"L31", func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"server": "nas.example"} }, "`parameters` server"},
		"an address": {"L31", func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"to": "https://x.example"} }, "`parameters` to"},
	} {
		t.Run(a.leak+" "+name, func(t *testing.T) {
			bad, free := class(), class()
			a.change(bad)
			a.change(free)
			free.Name = rig.Name("free")
			if err := rig.Client.Create(t.Context(), free, client.DryRunAll); err != nil {
				t.Errorf("refused without the prefix: %v", err)
			}
			refused(t, rig.Client.Create(t.Context(), bad, client.DryRunAll), "StorageNotMainland: "+a.says)
		})
	}
	good := class()
	good.Parameters = map[string]string{"type": "ssd", "zoneId": "cn-hangzhou-h"}
	if err := rig.Client.Create(t.Context(), good, client.DryRunAll); err != nil {
		t.Errorf("a pinned class is refused: %v", err)
	}
}

func TestOnlyBreakGlassEntersAPod(t *testing.T) {
	ns := install(t, policy(rig.Name("enter")))
	p := pod(ns)
	rig.Create(t, p)
	// Where admission lets it pass, the server only says that the pod runs nowhere.
	enter := func(resource, name, sub string, groups ...string) error {
		config := rest.CopyConfig(rig.Config)
		config.Impersonate = rest.ImpersonationConfig{UserName: "somebody", Groups: append(groups, "system:masters")}
		set, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return set.CoreV1().RESTClient().Post().Namespace(ns).Resource(resource).Name(name).SubResource(sub).Param("command", "sh").Param("container", "c").Param("stdout", "true").Do(t.Context()).Error()
	}
	for _, sub := range []string{"exec", "attach", "portforward", "proxy"} {
		t.Run("L41 "+sub, func(t *testing.T) {
			refused(t, enter("pods", p.Name, sub), "InteractiveAccessClosed: "+sub+" is open to the groups")
			if err := enter("pods", p.Name, sub, "residency:break-glass"); err == nil || strings.Contains(err.Error(), "residency: ") {
				t.Errorf("break-glass: %v", err)
			}
		})
	}
	t.Run("L41 a Service's proxy", func(t *testing.T) {
		refused(t, enter("services", "x", "proxy"), "InteractiveAccessClosed: proxy")
	})
	t.Run("L18 an ephemeral container", func(t *testing.T) {
		debug := func(image string, groups ...string) error {
			o := p.DeepCopy()
			o.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Image: image}}}
			return rig.As(t, "somebody", append(groups, "system:masters")...).SubResource("ephemeralcontainers").Update(t.Context(), o, client.DryRunAll)
		}
		refused(t, debug("registry.maodian.test/x"), "InteractiveAccessClosed: ephemeralcontainers")
		refused(t, debug("elsewhere.test/x", "residency:break-glass"), "ImageNotInPolicy")
		if err := debug("registry.maodian.test/x", "residency:break-glass"); err != nil {
			t.Errorf("break-glass: %v", err)
		}
	})
}

func TestANodeStaysWhereItIs(t *testing.T) {
	install(t, policy(rig.Name("place")))
	const region, zone = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
	inside, outside := rig.Node(t, rig.Name("in"), "cn-hangzhou", "cn-hangzhou-h", ""), rig.Node(t, rig.Name("out"), "cn-hongkong", "cn-hongkong-b", "")
	bare := rig.Node(t, rig.Name("bare"), "", "", "")
	label := func(who client.Client, n *corev1.Node, status bool, key, value string) error {
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, key, value))
		if status {
			return who.Status().Patch(t.Context(), n.DeepCopy(), patch, client.DryRunAll)
		}
		return who.Patch(t.Context(), n.DeepCopy(), patch, client.DryRunAll)
	}
	kubelet := rig.As(t, "system:node:"+outside.Name, "system:nodes", "system:masters") // the rig has no node authorizer
	const says = "RegionSignalsDisagree: region and zone of a node do not change"
	refused(t, label(rig.Client, outside, false, region, "cn-hangzhou"), says)
	refused(t, label(rig.Client, outside, true, region, "cn-hangzhou"), says)
	refused(t, label(kubelet, outside, false, region, "cn-hangzhou"), says)
	refused(t, label(rig.Client, inside, false, region, "cn-hongkong"), says)
	refused(t, label(rig.Client, inside, false, zone, "cn-hangzhou-i"), says)
	for name, err := range map[string]error{
		"a node without a place gets one":     label(rig.Client, bare, false, region, "cn-hangzhou"),
		"a place that concerns nobody":        label(rig.Client, outside, false, region, "eu-central-1"),
		"an attestor corrects":                label(rig.As(t, "somebody", "system:masters", "residency:attestors"), inside, false, region, "cn-hongkong"),
		"a label that tells nothing of place": label(kubelet, outside, false, "disk", "ssd"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServicesLeadToPodsOfTheNamespace(t *testing.T) {
	ns := install(t, policy(rig.Name("services")))
	const code = "NetworkNotInPolicy: "
	try(t, func(namespace string) *corev1.Service { return service(namespace) }, ns, map[string]attack[*corev1.Service]{
		"a name abroad": {"L35", func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example"}
		}, code + "`type` ExternalName"},
		"a port of every node":          {"L36", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }, code + "`type` NodePort"},
		"a load balancer of every node": {"L36", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }, code + "a LoadBalancer must have"},
		"an address by hand":            {"L37", func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} }, code + "`externalIPs`"},
		"no selector":                   {"L38", func(s *corev1.Service) { s.Spec.Selector = nil }, code + "`selector` must be set"},
	})
	local := service(ns, func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalTrafficPolicy, s.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, ptr.To(false)
	})
	rig.Create(t, local)
	captures := func(who client.Client) error {
		s := local.DeepCopy()
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		return who.Status().Patch(t.Context(), s, client.MergeFrom(local), client.DryRunAll)
	}
	refused(t, captures(rig.Client), code+"`status`") // L37
	if err := captures(rig.As(t, "system:cloud-controller-manager", "system:masters")); err != nil {
		t.Errorf("the load balancer's controller: %v", err)
	}
}

func TestEndpointsAreNotWrittenByHand(t *testing.T) {
	ns := install(t, policy(rig.Name("endpoints")))
	slice := func(namespace string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("slice")}, AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		}
	}
	const says = "NetworkNotInPolicy: endpoints may not be written by hand"
	try(t, slice, ns, map[string]attack[*discoveryv1.EndpointSlice]{"a slice": {"L38", func(*discoveryv1.EndpointSlice) {}, says}})
	for who, ok := range map[string]bool{
		"system:serviceaccount:kube-system:endpointslice-controller": true, "system:kube-controller-manager": true,
		"system:serviceaccount:kube-system:endpointslicemirroring-controller": false, "system:serviceaccount:default:endpointslice-controller": false,
	} {
		err := rig.As(t, who, "system:masters").Create(t.Context(), slice(ns), client.DryRunAll)
		if ok && err != nil {
			t.Errorf("%s: %v", who, err)
		}
		if !ok {
			refused(t, err, says)
		}
	}
}

func TestCredentialsStayInTheNamespace(t *testing.T) {
	ns := install(t, policy(rig.Name("credentials")))
	const code = "CredentialsExposed: "
	rig.Create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "app"}})
	token := func(user string, groups ...string) error {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(3600))}}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "app"}}
		return rig.As(t, user, append(groups, "system:masters")...).SubResource("token").Create(t.Context(), account, request)
	}
	refused(t, token("somebody"), code+"tokens are asked for by kubelets only") // L44
	if err := token("somebody", "residency:break-glass"); err != nil {
		t.Errorf("break-glass: %v", err)
	}
	secret := func(namespace string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rig.Name("secret")}}
	}
	annotated := func(key string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Annotations = map[string]string{key: "true"} }
	}
	try(t, secret, ns, map[string]attack[*corev1.Secret]{
		"copied by a reflector":  {"L45", annotated("reflector.v1.k8s.emberstack.com/reflection-allowed"), code + "the annotation reflector.v1"},
		"copied by a replicator": {"L45", annotated("replicator.v1.mittwald.de/replicate-to"), code + "the annotation replicator.v1"},
	})
	t.Run("L44 a token without end", func(t *testing.T) {
		s := secret(ns)
		s.Type, s.Annotations = corev1.SecretTypeServiceAccountToken, map[string]string{"kubernetes.io/service-account.name": "app"}
		refused(t, rig.Client.Create(t.Context(), s, client.DryRunAll), code+"a Secret of `type`")
	})
	account := func(namespace, name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
	}
	group := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: name}
	}
	give := func(s rbacv1.Subject) func(*rbacv1.RoleBinding) {
		return func(b *rbacv1.RoleBinding) { b.Subjects = []rbacv1.Subject{s} }
	}
	try(t, func(namespace string) *rbacv1.RoleBinding { return roleBinding(namespace) }, ns, map[string]attack[*rbacv1.RoleBinding]{
		"to an account elsewhere":       {"L56", give(account("default", "app")), code + "a service account of another namespace"},
		"to every account":              {"L56", give(group("system:serviceaccounts")), code + "a group that holds everybody"},
		"to everybody who is known":     {"L56", give(group("system:authenticated")), code + "a group that holds everybody"},
		"to everybody who is not known": {"L56", give(group("system:unauthenticated")), code + "a group that holds everybody"},
	})
	for name, s := range map[string]rbacv1.Subject{
		"an account of the namespace": account(ns, "app"), "a team": group("brand-team"), "the manager": account("maodian-system", "maodian-manager"),
	} {
		if err := rig.Client.Create(t.Context(), roleBinding(ns, s), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
