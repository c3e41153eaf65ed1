package crdtest

import (
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	crds    = "../../config/crd/bases"
	samples = "../../config/samples"
)

// m changes an object: dotted path to new value; nil removes. A number is a list index.
type m map[string]any

type l = []any

func (change m) on(t *testing.T, obj *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	out := obj.DeepCopy()
	for path, value := range change {
		keys := strings.Split(path, ".")
		var at any = out.Object
		for _, k := range keys[:len(keys)-1] {
			switch x := at.(type) {
			case map[string]any:
				if x[k] == nil {
					x[k] = map[string]any{}
				}
				at = x[k]
			case []any:
				i, err := strconv.Atoi(k)
				if err != nil {
					t.Fatalf("path %s: %v", path, err)
				}
				at = x[i]
			}
		}
		last := keys[len(keys)-1]
		parent, ok := at.(map[string]any)
		switch {
		case !ok:
			t.Fatalf("path %s does not end in an object", path)
		case value == nil:
			delete(parent, last)
		default:
			parent[last] = value
		}
	}
	return out
}

func load(t *testing.T) *Validator {
	t.Helper()
	v, err := Load(crds)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// bases returns the first valid object of each kind in config/samples.
func bases(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	out := map[string]*unstructured.Unstructured{}
	for _, f := range files {
		objs, err := Read(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objs {
			if out[o.GetKind()] == nil {
				out[o.GetKind()] = o
			}
		}
	}
	return out
}

// Each rule: an update (or, without a transition, a creation) that passes, and one that does
// not. old changes the sample before the update.
var ruleCases = []struct {
	kind, message       string
	old, accept, reject m
}{
	// Names: the same rule on every kind, with three lengths.
	{kind: "ResidencyPolicy", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "13800138000"}},
	{kind: "PrivacyNotice", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "a.b"}},
	{kind: "TransferMechanism", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": strings.Repeat("a", 64)}},
	{kind: "RegulatoryHold", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "1"}},
	{kind: "ResidencyException", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "1"}},
	{kind: "LeadModel", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "1"}},
	{kind: "Audience", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "1"}},
	{kind: "SendHold", message: name63, accept: m{"metadata.name": "p"}, reject: m{"metadata.name": "1"}},
	{kind: "TransferSchedule", message: name36, accept: m{"metadata.name": strings.Repeat("a", 36)}, reject: m{"metadata.name": strings.Repeat("a", 37)}},
	{kind: "DataTransfer", message: name50, accept: m{"metadata.name": strings.Repeat("a", 50)}, reject: m{"metadata.name": strings.Repeat("a", 51)}},
	{kind: "PushCampaign", message: name50, accept: m{"metadata.name": strings.Repeat("a", 50)}, reject: m{"metadata.name": strings.Repeat("a", 51)}},
	{kind: "ConsentStore", message: name40, accept: m{"metadata.name": strings.Repeat("a", 40)}, reject: m{"metadata.name": strings.Repeat("a", 41)}},
	{kind: "WeChatAccount", message: name40, accept: m{"metadata.name": strings.Repeat("a", 40)}, reject: m{"metadata.name": strings.Repeat("a", 41)}},

	// ResidencyPolicy.
	{kind: "ResidencyPolicy", message: "`jurisdiction` may not change", accept: m{"spec.enforcement": "Audit"}, reject: m{"spec.jurisdiction": "elsewhere"}},
	{kind: "ResidencyPolicy", message: "`processor.name` may not change", accept: m{"spec.processor.contact": "new@acme.example"}, reject: m{"spec.processor.name": "acme-other"}},
	{kind: "ResidencyPolicy", message: "`regions` may not hold a wildcard", accept: m{"spec.nodes.regions": l{"ap-shanghai"}}, reject: m{"spec.nodes.regions": l{"cn-*"}}},
	{kind: "ResidencyPolicy", message: "a region in Hong Kong", accept: m{"spec.nodes.regions": l{"cn-shenzhen"}}, reject: m{"spec.nodes.regions": l{"cn-hangzhou", "cn-hongkong"}}},
	{kind: "ResidencyPolicy", message: "a region in Macau", accept: m{"spec.nodes.regions": l{"cn-heyuan"}}, reject: m{"spec.nodes.regions": l{"cn-macau"}}},
	{kind: "ResidencyPolicy", message: "a region in Taiwan", accept: m{"spec.nodes.regions": l{"cn-fuzhou"}}, reject: m{"spec.nodes.regions": l{"cn-taiwan"}}},
	{kind: "ResidencyPolicy", message: "ap-east-* or ap-southeast-*", accept: m{"spec.nodes.regions": l{"cn-southwest-2"}}, reject: m{"spec.nodes.regions": l{"ap-southeast-1"}}},
	{kind: "ResidencyPolicy", message: "`zones` may not hold a wildcard", accept: m{"spec.nodes.zones": l{"cn-hangzhou-i"}}, reject: m{"spec.nodes.zones": l{"cn-hangzhou-*"}}},
	{kind: "ResidencyPolicy", message: "`labelKey` must lie under node-restriction.kubernetes.io", old: m{"spec.nodes.labelKey": "node-restriction.kubernetes.io/place"},
		accept: m{"spec.nodes.labelKey": "node-restriction.kubernetes.io/place"}, reject: m{"spec.nodes.labelKey": "evilnode-restriction.kubernetes.io/place"}},
	{kind: "ResidencyPolicy", message: "`labelKey` may not change", accept: m{"spec.nodes.zones": l{"cn-hangzhou-i"}}, reject: m{"spec.nodes.labelKey": "node-restriction.kubernetes.io/place"}},
	{kind: "ResidencyPolicy", message: "`registries` must end in '/'", accept: m{"spec.images.registries": l{"registry.example/team/"}}, reject: m{"spec.images.registries": l{"registry.example"}}},
	{kind: "ResidencyPolicy", message: "`registries` may not hold a wildcard", accept: m{"spec.images.registries": l{"registry.example/"}}, reject: m{"spec.images.registries": l{"*.example/"}}},
	{kind: "ResidencyPolicy", message: "`hosts` may not hold a wildcard", accept: m{"spec.network.hosts": l{".weixin.qq.com"}}, reject: m{"spec.network.hosts": l{"*.weixin.qq.com"}}},
	{kind: "ResidencyPolicy", message: "each of `cidrs` must be an address range", accept: m{"spec.network.cidrs": l{"2001:db8::/32"}}, reject: m{"spec.network.cidrs": l{"10.0.0.0"}}},
	{kind: "ResidencyPolicy", message: "`cidrs` may not hold the whole internet", accept: m{"spec.network.cidrs": l{"10.0.0.0/9"}}, reject: m{"spec.network.cidrs": l{"0.0.0.0/0"}}},
	{kind: "ResidencyPolicy", message: "`attestors` may not hold a group of the system", accept: m{"spec.identities.attestors": l{"ops"}}, reject: m{"spec.identities.attestors": l{"system:masters"}}},
	{kind: "ResidencyPolicy", message: "`breakGlass` may not hold a group of the system", accept: m{"spec.identities.breakGlass": nil}, reject: m{"spec.identities.breakGlass": l{"system:authenticated"}}},

	// ConsentStore.
	{kind: "ConsentStore", message: "`postgreSQL` must be set when", old: postgres, accept: postgres, reject: m{"spec.engine": "PostgreSQL", "spec.postgreSQL": nil}},
	{kind: "ConsentStore", message: "`postgreSQL` may not be set unless", accept: m{}, reject: m{"spec.postgreSQL": m1("connectionSecretRef", m1("name", "pg"))}},
	{kind: "ConsentStore", message: "`engine` may not change", accept: m{}, reject: postgres},
	{kind: "ConsentStore", message: "`size` may not shrink", accept: m{"spec.storage.size": "2048Mi"}, reject: m{"spec.storage.size": "1000Mi"}},
	{kind: "ConsentStore", message: "`storageClassName` may not change", accept: m{}, reject: m{"spec.storage.storageClassName": "cn-mainland-other"}},
	{kind: "ConsentStore", message: "`algorithm` may not change", accept: m{}, reject: m{"spec.encryption.algorithm": "SM4GCM"}},
	{kind: "ConsentStore", message: "`keySecretRef` may not change", accept: m{}, reject: m{"spec.encryption.keySecretRef.name": "other"}},
	{kind: "ConsentStore", message: "`ledgerID` may not change", old: m{"status.ledgerID": "a"}, accept: m{"status.ledgerID": "a"}, reject: m{"status.ledgerID": nil, "status.endpoint": "x"}},

	// PrivacyNotice.
	{kind: "PrivacyNotice", message: "a published revision may not change", accept: m{"spec.revision": int64(4), "spec.retentionDays": int64(365)}, reject: m{"spec.retentionDays": int64(365)}},
	{kind: "PrivacyNotice", message: "`method` must be set when a purpose has", accept: sensitive("Health"), reject: sensitive("Health").without("spec.method")},
	{kind: "PrivacyNotice", message: "`safeguards` must be set when", accept: children(), reject: children().without("spec.safeguards")},
	{kind: "PrivacyNotice", message: "`complaints` must be set when", accept: children(), reject: children().without("spec.complaints")},
	{kind: "PrivacyNotice", message: "a recipient of data on health", accept: recipientOf("Biometric"), reject: recipientOf("Biometric").without("spec.recipients.0.method")},
	{kind: "PrivacyNotice", message: "a recipient of a person's whereabouts", accept: recipientOf("PreciseLocation"), reject: recipientOf("PreciseLocation").without("spec.recipients.0.method")},
	{kind: "PrivacyNotice", message: "a recipient of documents or accounts", accept: recipientOf("IDDocumentNumber"), reject: recipientOf("IDDocumentNumber").without("spec.recipients.0.method")},
	{kind: "PrivacyNotice", message: "a recipient of messages or data of children", accept: recipientOf("MessageContent"), reject: recipientOf("MessageContent").without("spec.recipients.0.method")},
	{kind: "PrivacyNotice", message: "names health, body, belief or identity", accept: sensitive("Health"), reject: m{"spec.revision": int64(4), "spec.purposes.0.categories": l{"Health"}}},
	{kind: "PrivacyNotice", message: "names a person's whereabouts", accept: sensitive("MovementTrack"), reject: m{"spec.revision": int64(4), "spec.purposes.0.categories": l{"MovementTrack"}}},
	{kind: "PrivacyNotice", message: "names documents or accounts", accept: sensitive("FinancialAccount"), reject: m{"spec.revision": int64(4), "spec.purposes.0.categories": l{"FinancialAccount"}}},
	{kind: "PrivacyNotice", message: "names messages or children under 14", accept: sensitive("MessageContent"), reject: m{"spec.revision": int64(4), "spec.purposes.0.categories": l{"MessageContent"}}},

	// DataTransfer.
	{kind: "DataTransfer", message: "`spec` may not change", accept: m{"metadata.labels": m1("team", "crm")}, reject: m{"spec.maxPersons": int64(6000)}},
	{kind: "DataTransfer", message: "`reviewByTime` must be later than `completedTime`", old: assessed("2027-01-01T00:00:00Z"), accept: assessed("2027-01-01T00:00:00Z"), reject: assessed("2026-01-01T00:00:00Z")},
	{kind: "DataTransfer", message: "`s3` must be set when `type` is S3, and only then", accept: m{}, reject: m{"spec.destination.s3": nil}},
	{kind: "DataTransfer", message: "`https` must be set when `type` is HTTPS, and only then", old: endpoint, accept: endpoint, reject: m{"spec.destination.https": nil}},
	{kind: "DataTransfer", message: "`sftp` must be set when `type` is SFTP, and only then", old: server, accept: server, reject: m{"spec.destination.sftp": nil}},
	{kind: "DataTransfer", message: "must be a network, as 203.0.113.0/24", old: networks("2001:db8::/32"), accept: networks("2001:db8::/32"), reject: networks("203.0.113.0/33")},
	{kind: "DataTransfer", message: "must be at most a /12 of IPv4 or a /28 of IPv6", old: networks("198.51.0.0/12"), accept: networks("198.51.0.0/12"), reject: networks("0.0.0.0/0")},
	{kind: "DataTransfer", message: "must not hold the node itself", old: networks("fd00::/28"), accept: networks("fd00::/28"), reject: networks("100.96.0.0/12")},
	{kind: "DataTransfer", message: "exactly one of `fields` and `aggregates`", old: counts(nil), accept: counts(nil), reject: counts(m{"spec.fields": l{"id"}, "spec.maxPersons": int64(1)})},
	{kind: "DataTransfer", message: "`maxPersons` must be set when `fields` is", accept: m{}, reject: m{"spec.maxPersons": nil}},
	{kind: "DataTransfer", message: "`maxPersons` may not be set with `aggregates`", old: counts(nil), accept: counts(nil), reject: counts(m{"spec.maxPersons": int64(1)})},
	{kind: "DataTransfer", message: "`categories` must be exactly [AnonymousAggregate]", old: counts(nil), accept: counts(nil), reject: counts(m{"spec.categories": l{"AnonymousAggregate", "InterestTag"}})},
	{kind: "DataTransfer", message: "`format` must be JSONLines or CSV when `aggregates`", old: counts(m{"spec.format": "CSV"}), accept: counts(m{"spec.format": "CSV"}), reject: counts(m{"spec.format": "Parquet"})},
	{kind: "DataTransfer", message: "`limits` may not be set with `aggregates`", old: counts(nil), accept: counts(nil), reject: counts(m{"spec.limits": m1("bytes", int64(1000000))})},

	// TransferSchedule; its template has the rules of a DataTransfer but for the one about changes.
	{kind: "TransferSchedule", message: "`startByTime` may not be set: the schedule sets it", accept: m{"spec.schedule": "0 9 * * 2"}, reject: m{"spec.template.spec.startByTime": "2027-01-01T00:00:00Z"}},
	{kind: "TransferSchedule", message: "`reviewByTime` must be later than `completedTime`", accept: m{}, reject: m{"spec.template.spec.impactAssessment": assessed("2026-01-01T00:00:00Z")["spec.impactAssessment"]}},
	{kind: "TransferSchedule", message: "`s3` must be set when `type` is S3, and only then", accept: m{}, reject: m{"spec.template.spec.destination.s3": nil}},
	{kind: "TransferSchedule", message: "`https` must be set when `type` is HTTPS, and only then", accept: m{}, reject: m{"spec.template.spec.destination.type": "HTTPS"}},
	{kind: "TransferSchedule", message: "`sftp` must be set when `type` is SFTP, and only then", accept: m{}, reject: m{"spec.template.spec.destination.type": "SFTP"}},
	{kind: "TransferSchedule", message: "must be a network, as 203.0.113.0/24", accept: m{"spec.template.spec.destination.cidrs": []any{"203.0.113.0/24"}}, reject: m{"spec.template.spec.destination.cidrs": []any{"203.0.113.0/33"}}},
	{kind: "TransferSchedule", message: "must be at most a /12 of IPv4 or a /28 of IPv6", accept: m{}, reject: m{"spec.template.spec.destination.cidrs": []any{"::/0"}}},
	{kind: "TransferSchedule", message: "must not hold the node itself", accept: m{}, reject: m{"spec.template.spec.destination.cidrs": []any{"127.0.0.0/12"}}},
	{kind: "TransferSchedule", message: "exactly one of `fields` and `aggregates`", accept: templated(counts(nil)), reject: m{"spec.template.spec.fields": nil}},
	{kind: "TransferSchedule", message: "`maxPersons` must be set when `fields` is", accept: m{}, reject: m{"spec.template.spec.maxPersons": nil}},
	{kind: "TransferSchedule", message: "`maxPersons` may not be set with `aggregates`", accept: templated(counts(nil)), reject: templated(counts(m{"spec.maxPersons": int64(1)}))},
	{kind: "TransferSchedule", message: "`categories` must be exactly [AnonymousAggregate]", accept: templated(counts(nil)), reject: templated(counts(m{"spec.categories": l{"InterestTag"}}))},
	{kind: "TransferSchedule", message: "`format` must be JSONLines or CSV when `aggregates`", accept: templated(counts(nil)), reject: templated(counts(m{"spec.format": "Parquet"}))},
	{kind: "TransferSchedule", message: "`limits` may not be set with `aggregates`", accept: templated(counts(nil)), reject: templated(counts(m{"spec.limits": m1("bytes", int64(1000000))}))},

	// TransferMechanism.
	{kind: "TransferMechanism", message: "`type` may not change", accept: m{"spec.state": "Suspended"}, reject: m{"spec.type": "Certification"}},
	{kind: "TransferMechanism", message: "`reference` may not change", accept: m{}, reject: m{"spec.reference": "SC-2026-0043"}},
	{kind: "TransferMechanism", message: "`expiryTime` must be later than `effectiveTime`", accept: m{"spec.expiryTime": "2029-10-01T00:00:00Z"}, reject: m{"spec.expiryTime": "2025-10-01T00:00:00Z"}},
	{kind: "TransferMechanism", message: "`effectiveTime` must be set when `state` is InForce", accept: m{"spec.effectiveTime": nil, "spec.state": "Filed", "spec.expiryTime": "2029-10-01T00:00:00Z"}, reject: m{"spec.effectiveTime": nil}},

	// RegulatoryHold.
	{kind: "RegulatoryHold", message: "`authority` may not change", accept: m{"spec.scope.recipients": nil}, reject: m{"spec.authority": "CAC"}},
	{kind: "RegulatoryHold", message: "`reference` may not change", accept: m{}, reject: m{"spec.reference": "PSB-2026-119"}},
	{kind: "RegulatoryHold", message: "`expiryTime` must be later than `effectiveTime`", accept: m{"spec.expiryTime": "2026-12-01T00:00:00Z"}, reject: m{"spec.expiryTime": "2026-11-01T00:00:00Z"}},

	// ResidencyException.
	{kind: "ResidencyException", message: "`spec` may not change", accept: m{}, reject: m{"spec.owner": "somebody else"}},
	{kind: "ResidencyException", message: "`users` may not name an account of the system", accept: m{}, reject: m{"spec.users": l{"system:admin"}}},

	// WeChatAccount.
	{kind: "WeChatAccount", message: "`appID` may not change", accept: m{"spec.type": "SubscriptionAccount"}, reject: m{"spec.appID": "wxfedcba9876543210"}},
	{kind: "WeChatAccount", message: "`storeRef` may not change", accept: m{}, reject: m{"spec.storeRef.name": "other"}},

	// LeadModel.
	{kind: "LeadModel", message: "`points` may not be 0", accept: m{"spec.rules.0.points": int64(-5)}, reject: m{"spec.rules.0.points": int64(0)}},
	{kind: "LeadModel", message: "`stages` must be in the order", accept: m{"spec.stages.2.minPoints": int64(16)}, reject: m{"spec.stages.2.minPoints": int64(14)}},
	{kind: "LeadModel", message: "`stages` may not have the same `minPoints` twice", accept: m{"spec.stages.2.minPoints": int64(16)}, reject: m{"spec.stages.2.minPoints": int64(15)}},

	// PushCampaign.
	{kind: "PushCampaign", message: "`purpose` must be a purpose that messages are sent for", accept: m{"spec.purpose": "OrderFulfilment"}, reject: m{"spec.purpose": "GroupReporting"}},
	{kind: "PushCampaign", message: "`channel.type` may not be Template for marketing", accept: template("OrderFulfilment"), reject: template("DirectMarketing")},
	{kind: "PushCampaign", message: "`mass` must be set exactly when", accept: channel("Mass", "mass", m1("text", "你好")), reject: m{"spec.channel.mass": m1("text", "你好")}},
	{kind: "PushCampaign", message: "`subscription` must be set exactly when", accept: m{}, reject: m{"spec.channel.subscription": nil}},
	{kind: "PushCampaign", message: "`customerService` must be set exactly when", accept: channel("CustomerService", "customerService", m1("text", "你好")), reject: m{"spec.channel.customerService": m1("text", "你好")}},
	{kind: "PushCampaign", message: "`template` must be set exactly when", accept: template("CustomerService"), reject: m{"spec.channel.template": tmpl()}},
	{kind: "PushCampaign", message: "exactly one of `mediaID` and `text`", accept: channel("Mass", "mass", m1("mediaID", "abc_1-2")),
		reject: channel("Mass", "mass", map[string]any{"mediaID": "abc", "text": "你好"})},
	{kind: "PushCampaign", message: "each key of `data` must be a keyword", accept: m{"spec.channel.subscription.data": m1("character_string3", "x")}, reject: m{"spec.channel.subscription.data": m1("Thing One", "x")}},
	{kind: "PushCampaign", message: "`notAfterTime` must be later than `notBeforeTime`", accept: m{"spec.schedule.notAfterTime": "2026-11-23T02:00:01Z"}, reject: m{"spec.schedule.notAfterTime": "2026-11-23T02:00:00Z"}},
	{kind: "PushCampaign", message: "`end` must be later than `start`", accept: m{"spec.schedule.window.start": "09:00"}, reject: m{"spec.schedule.window.start": "21:00", "spec.schedule.window.end": "09:00"}},
	{kind: "PushCampaign", message: "`spec.channel` may not change once the run began", old: running, accept: m{"status.runID": "r1", "spec.suspend": true}, reject: m{"status.runID": "r1", "spec.channel.subscription.templateID": "OTHER"}},
	{kind: "PushCampaign", message: "`spec.audienceRef` may not change once the run began", old: running, accept: m{"status.runID": "r1", "spec.throttle": nil}, reject: m{"status.runID": "r1", "spec.audienceRef.name": "other"}},
	{kind: "PushCampaign", message: "`spec.accountRef` may not change once the run began", old: running, accept: running, reject: m{"status.runID": "r1", "spec.accountRef.name": "other"}},
	{kind: "PushCampaign", message: "`spec.purpose` may not change once the run began", old: running, accept: running, reject: m{"status.runID": "r1", "spec.purpose": "DirectMarketing"}},
	{kind: "PushCampaign", message: "`runID` may not change", old: running, accept: running, reject: m{"status.runID": "r2"}},

	// SendHold.
	{kind: "SendHold", message: "one of `campaigns` and `accounts` must be set", accept: m{"spec.campaigns": nil, "spec.accounts": l{"brand"}}, reject: m{"spec.campaigns": nil}},
	{kind: "SendHold", message: "`campaigns` and `accounts` may not both be set", accept: m{}, reject: m{"spec.accounts": l{"brand"}}},
}

const (
	name63 = "hold at most 63 letters"
	name50 = "hold at most 50 letters"
	name40 = "hold at most 40 letters"
	name36 = "hold at most 36 letters"
)

var (
	postgres = m{"spec.engine": "PostgreSQL", "spec.postgreSQL": m1("connectionSecretRef", m1("name", "pg"))}
	running  = m{"status.runID": "r1"}
)

func m1(key string, value any) map[string]any { return map[string]any{key: value} }

func sensitive(category string) m {
	text := m1("zh-CN", "说明")
	return m{"spec.revision": int64(4), "spec.purposes.0.categories": l{category}, "spec.method": text,
		"spec.purposes.0.sensitive": map[string]any{"necessity": text, "impact": text}}
}

func children() m {
	text, c := m1("zh-CN", "说明"), sensitive("AnyUnder14")
	c["spec.safeguards"], c["spec.complaints"] = text, text
	return c
}

func recipientOf(category string) m {
	return m{"spec.revision": int64(4), "spec.recipients.0.categories": l{category}, "spec.recipients.0.method": m1("zh-CN", "说明")}
}

func (change m) without(path string) m {
	out := maps.Clone(change)
	out[path] = nil
	return out
}

// Destinations of the other types, and one in networks.
var (
	secretRef = map[string]any{"name": "group-crm"}
	endpoint  = m{"spec.destination.type": "HTTPS", "spec.destination.s3": nil, "spec.destination.https": map[string]any{
		"url": "https://crm.example/in/", "keyID": "k", "credentialsSecretRef": secretRef,
	}}
	server = m{"spec.destination.type": "SFTP", "spec.destination.s3": nil, "spec.destination.sftp": map[string]any{
		"host": "sftp.example", "user": "u", "hostKeys": []any{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGpKWGvJNkLZfvjzOKIBD0TTHgPfCTOT1GxAKXtSxL5A"}, "credentialsSecretRef": secretRef,
	}}
)

func networks(n string) m { return m{"spec.destination.cidrs": []any{n}} }

func assessed(reviewBy string) m {
	return m{"spec.impactAssessment": map[string]any{
		"reference": "PIA-1", "completedTime": "2026-06-01T00:00:00Z", "reviewByTime": reviewBy, "outcome": "Acceptable"}}
}

// counts turns the sample into a request for counts, changed once more.
func counts(more m) m {
	out := m{"spec.categories": l{"AnonymousAggregate"}, "spec.aggregates": l{"LeadsByStage"}, "spec.fields": nil, "spec.maxPersons": nil}
	maps.Copy(out, more)
	return out
}

// templated makes the same changes to the template of a schedule.
func templated(change m) m {
	out := m{}
	for path, value := range change {
		out["spec.template."+path] = value
	}
	return out
}

func channel(kind, member string, message map[string]any) m {
	return m{"spec.channel": map[string]any{"type": kind, member: message}}
}

func tmpl() map[string]any {
	return map[string]any{"templateID": "T1", "data": m1("thing1", "x")}
}

func template(purpose string) m {
	c := channel("Template", "template", tmpl())
	c["spec.purpose"] = purpose
	return c
}

func TestRulesAcceptAndReject(t *testing.T) {
	v, base := load(t), bases(t)
	for _, c := range ruleCases {
		t.Run(c.kind+": "+c.message, func(t *testing.T) {
			old := c.old.on(t, base[c.kind])
			if err := v.Validate(t.Context(), c.accept.on(t, old), old); err != nil {
				t.Errorf("must be accepted: %v", err)
			}
			err := v.Validate(t.Context(), c.reject.on(t, old), old)
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("error = %v, want %q in it", err, c.message)
			}
		})
	}
}

func TestEveryRuleHasItsCase(t *testing.T) {
	covered := map[Rule]bool{}
	rules := load(t).Rules()
	for _, c := range ruleCases {
		hits := 0
		for _, r := range rules {
			if r.Kind == c.kind && strings.Contains(r.Message, c.message) {
				hits++
				covered[r] = true
			}
		}
		if hits != 1 {
			t.Errorf("%s: %q names %d rules, want 1", c.kind, c.message, hits)
		}
	}
	for _, r := range rules {
		if !covered[r] {
			t.Errorf("%s: no case for %q", r.Kind, r.Message)
		}
	}
	if len(ruleCases) != len(rules) {
		t.Errorf("%d cases for %d rules", len(ruleCases), len(rules))
	}
}

func TestRulesAreShortAndExplainThemselves(t *testing.T) {
	for _, r := range load(t).Rules() {
		if len(r.Rule) > 120 {
			t.Errorf("%s: rule of %d characters: %s", r.Kind, len(r.Rule), r.Rule)
		}
		if !strings.Contains(r.Message, "must") && !strings.Contains(r.Message, "may not") {
			t.Errorf("%s: message says neither `must` nor `may not`: %s", r.Kind, r.Message)
		}
	}
}
