package desired

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

var (
	at       = Placement{LabelKey: "maodian.node-restriction.kubernetes.io/jurisdiction", Jurisdiction: "cn-mainland", Regions: []string{"cn-north-1", "cn-hangzhou"}}
	platform = Platform{Image: "registry.maodian.test/maodian:dev", SystemNamespace: "maodian-system", ExtraCA: true}
	cidrs    = []string{"192.0.2.0/24", "10.0.0.0/8"}
)

func owner(kind, name string) Owner {
	return Owner{APIVersion: "x.maodian.dev/v1alpha1", Kind: kind, Name: name, Namespace: "brand-cn", UID: "u-1"}
}

func children(t *testing.T) map[string][]runtime.ApplyConfiguration {
	t.Helper()
	out := map[string][]runtime.ApplyConfiguration{}
	add := func(name string, objects []runtime.ApplyConfiguration, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out[name] = objects
	}
	store, err := StoreChildren(StoreInput{
		Owner: owner("ConsentStore", "brand-store"), Placement: at, Platform: platform, StorageClass: "cn-mainland-local",
		Size: resource.MustParse("1Gi"), KeySecret: "brand-store-key", Algorithm: "AES256GCM", LedgerID: "l-1", CreateLedger: true,
	})
	add("store", store, err)
	counting, err := StoreChildren(StoreInput{
		Owner: owner("ConsentStore", "brand-store"), Placement: at, Platform: platform, StorageClass: "cn-mainland-local",
		Size: resource.MustParse("1Gi"), KeySecret: "brand-store-key", Algorithm: "AES256GCM", LedgerID: "l-1",
		CountingSecret: "counting", Peers: []StorePeer{{"outlet-cn", "outlet-store"}},
	})
	add("store-counting", counting, err)
	gateway, err := GatewayChildren(GatewayInput{
		Owner: owner("WeChatAccount", "brand"), Placement: at, Platform: platform, CIDRs: cidrs, Store: "brand-store", AppID: "wx0123456789abcdef",
		Hosts: []string{"sh.api.weixin.qq.com"}, CredentialsSecret: "brand-wechat", WithdrawKeywords: []string{"退订", "TD"}, Templates: []string{"T1"}, PublicHost: "wx.brand.example", Replicas: 2,
	})
	add("gateway", gateway, err)
	dispatch, err := DispatchChildren(DispatchInput{
		Owner: owner("PushCampaign", "spring-tea"), Placement: at, Platform: platform, CIDRs: cidrs, Store: "brand-store", Account: "brand", AppID: "wx0123456789abcdef",
		Hosts: []string{"sh.api.weixin.qq.com"}, CredentialsSecret: "brand-wechat", RunID: "r-1", Shards: 3, Channel: "Subscription",
		Subscription: &SubscriptionTemplate{TemplateID: "T1", Page: "https://brand.example/tea", Data: map[string]string{"thing1": "春茶上市"}},
	})
	add("dispatch", dispatch, err)
	transfer, err := TransferChildren(TransferInput{
		Owner: owner("DataTransfer", "leads"), Placement: at, Platform: platform, Store: "brand-store", TransferID: "t-1", Recipient: "acme-group", Format: "JSONLines", Fields: []string{"id", "tags"},
		Destination: Destination{
			Type: "S3", S3: &S3Bucket{Endpoint: "https://s3.eu-central-1.example", Bucket: "group-crm", Prefix: "cn/"},
			Addresses: []string{"203.0.113.7"}, CIDRs: []string{"203.0.113.7/32"}, Port: 443,
		}, CredentialsSecret: "group-crm-s3",
	})
	add("transfer", transfer, err)
	counts, err := TransferChildren(TransferInput{
		Owner: owner("DataTransfer", "counts"), Placement: at, Platform: platform, Store: "brand-store", TransferID: "t-2", Recipient: "acme-group", Format: "CSV", Aggregates: []string{"LeadsByStage"},
		EncryptFor: []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"},
		Destination: Destination{
			Type: "S3", S3: &S3Bucket{Endpoint: "https://s3.eu-central-1.example", Bucket: "group-crm", Prefix: "cn/"},
			Addresses: []string{"203.0.113.7"}, CIDRs: []string{"203.0.113.7/32"}, Port: 443,
		}, CredentialsSecret: "group-crm-s3",
	})
	add("aggregate", counts, err)
	return out
}

func TestWhereNodesAreKeptTheTaintIsTolerated(t *testing.T) {
	exclusive := at
	exclusive.Taint = "residency.maodian.dev/cn-mainland"
	for taint, placement := range map[string]Placement{"": at, exclusive.Taint: exclusive} {
		spec := podTemplate(platform, placement, workload{component: Store, config: "c"}).Spec
		var keys string
		for _, toleration := range spec.Tolerations {
			keys += *toleration.Key
		}
		if keys != taint {
			t.Errorf("tolerates %q, want %q", keys, taint)
		}
	}
}

func TestChildrenAreTheseObjects(t *testing.T) {
	for name, objects := range children(t) {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, o := range objects {
				y, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(y)
			}
			file := filepath.Join("testdata", name+".yaml")
			if os.Getenv("UPDATE_GOLDEN") == "1" {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it):\n%s", file, d)
			}
		})
	}
}

// template returns the pod template of the one workload among objects.
func template(t *testing.T, objects []runtime.ApplyConfiguration) corev1.PodTemplateSpec {
	t.Helper()
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var w struct {
			Spec struct{ Template *corev1.PodTemplateSpec }
		}
		if err := json.Unmarshal(b, &w); err == nil && w.Spec.Template != nil {
			return *w.Spec.Template
		}
	}
	t.Fatal("no pod template")
	return corev1.PodTemplateSpec{}
}

func TestEveryPodIsPinnedAndHoldsNoClusterCredentials(t *testing.T) {
	for name, objects := range children(t) {
		t.Run(name, func(t *testing.T) {
			spec := template(t, objects).Spec
			if spec.NodeSelector[at.LabelKey] != at.Jurisdiction {
				t.Errorf("nodeSelector = %v", spec.NodeSelector)
			}
			terms := spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
			if len(terms) != 1 || cmp.Diff([]string{"cn-hangzhou", "cn-north-1"}, terms[0].MatchExpressions[0].Values) != "" {
				t.Errorf("terms = %v", terms)
			}
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Error("the pod would get a service account token")
			}
			c := spec.Containers[0].SecurityContext
			if !*c.ReadOnlyRootFilesystem || !*c.RunAsNonRoot || *c.AllowPrivilegeEscalation || c.Capabilities.Drop[0] != "ALL" {
				t.Errorf("security context = %+v", c)
			}
			if spec.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *spec.SecurityContext.RunAsUser == 0 {
				t.Errorf("pod security context = %+v", spec.SecurityContext)
			}
		})
	}
}

func TestAStoreClaimHasNoOwner(t *testing.T) {
	c := StoreClaim(StoreInput{Owner: owner("ConsentStore", "brand-store"), StorageClass: "cn-mainland-local", Size: resource.MustParse("1Gi"), LedgerID: "l-1"})
	if len(c.OwnerReferences) != 0 || c.Name != "data-brand-store-0" {
		t.Errorf("claim = %+v", c.ObjectMeta)
	}
	if c.Annotations[LedgerIDAnnotation] != "l-1" || c.Annotations[LedgerStateAnnotation] != LedgerCreating {
		t.Errorf("annotations = %v", c.Annotations)
	}
}

// TestADestinationIsReachedOnItsPortOnly: without networks nothing outside is open at all,
// since a rule without peers would open everything.
func TestADestinationIsReachedOnItsPortOnly(t *testing.T) {
	for name, c := range map[string]struct {
		destination Destination
		want        string
	}{
		"two addresses":      {Destination{Port: 22, CIDRs: []string{"203.0.113.7/32", "198.51.100.0/24"}}, "22:198.51.100.0/24,203.0.113.7/32"},
		"no address, as yet": {Destination{Port: 22}, ""},
	} {
		p := transferPolicy(TransferInput{Owner: owner("DataTransfer", "leads"), Store: "brand-store", Destination: c.destination})
		var got string
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 {
				t.Errorf("%s: a rule is open to everybody", name)
			}
			var networks []string
			for _, to := range rule.To {
				if to.IPBlock != nil {
					networks = append(networks, *to.IPBlock.CIDR)
				}
			}
			if len(networks) > 0 {
				got += rule.Ports[0].Port.String() + ":" + strings.Join(networks, ",")
			}
		}
		if got != c.want {
			t.Errorf("%s: opens %q, want %q", name, got, c.want)
		}
	}
}
