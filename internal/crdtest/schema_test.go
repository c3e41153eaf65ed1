package crdtest

import (
	"strings"
	"testing"
)

func TestSchemaRefuses(t *testing.T) {
	cases := map[string]struct {
		kind   string
		change m
		want   string
	}{
		"a field that does not exist":                 {"ConsentStore", m{"spec.replicas": int64(3)}, "unknown field: spec.replicas"},
		"a store without a notice":                    {"ConsentStore", m{"spec.noticeRef": nil}, "spec.noticeRef: Required value"},
		"a deletion policy that deletes":              {"ConsentStore", m{"spec.deletionPolicy": "Delete"}, "spec.deletionPolicy: Unsupported value"},
		"a size with two spellings":                   {"ConsentStore", m{"spec.storage.size": "1G"}, "spec.storage.size"},
		"a guardian age below the law's":              {"ResidencyPolicy", m{"spec.guardianConsentAge": int64(13)}, "spec.guardianConsentAge"},
		"a guardian age above adulthood":              {"ResidencyPolicy", m{"spec.guardianConsentAge": int64(19)}, "spec.guardianConsentAge"},
		"a class prefix without its dash":             {"ResidencyPolicy", m{"spec.storage.classPrefix": "cn"}, "spec.storage.classPrefix"},
		"the same region twice":                       {"ResidencyPolicy", m{"spec.nodes.regions": l{"cn-beijing", "cn-beijing"}}, "Duplicate value"},
		"an empty list":                               {"ResidencyPolicy", m{"spec.network.hosts": l{}}, "spec.network.hosts"},
		"a legal basis that the law does not have":    {"DataTransfer", m{"spec.legalBasis": "LegitimateInterest"}, "spec.legalBasis: Unsupported value"},
		"an openid among the fields":                  {"DataTransfer", m{"spec.fields": l{"openid"}}, "spec.fields[0]"},
		"a phone number as an assessment's reference": {"DataTransfer", m{"spec.mechanismRef": m1("name", "+8613800138000")}, "spec.mechanismRef.name"},
		"a bucket reached without encryption":         {"DataTransfer", m{"spec.destination.s3.endpoint": "http://s3.example"}, "spec.destination.s3.endpoint"},
		"a prefix that climbs":                        {"DataTransfer", m{"spec.destination.s3.prefix": "../cn/"}, "spec.destination.s3.prefix"},
		"two refusals with one code":                  {"DataTransfer", m{"status.refusals": l{m1("code", "PIAMissing"), m1("code", "PIAMissing")}}, "Duplicate value"},
		"an exact count of few people":                {"DataTransfer", m{"status.persons": "19"}, "status.persons"},
		"neither records nor counts":                  {"DataTransfer", m{"spec.fields": nil, "spec.maxPersons": nil}, "exactly one of `fields` and `aggregates` must be set"},
		"a question of one's own":                     {"DataTransfer", counts(m{"spec.aggregates": l{"PeopleByName"}}), "spec.aggregates[0]: Unsupported value"},
		"the same table twice":                        {"DataTransfer", counts(m{"spec.aggregates": l{"LeadsByStage", "LeadsByStage"}}), "Duplicate value"},
		"no table at all":                             {"DataTransfer", counts(m{"spec.aggregates": l{}}), "spec.aggregates"},
		"a country that is a name":                    {"DataTransfer", m{"spec.recipient.country": "Switzerland"}, "spec.recipient.country"},
		"the general API host":                        {"WeChatAccount", m{"spec.apiHosts": l{"api.weixin.qq.com"}}, "spec.apiHosts[0]: Unsupported value"},
		"an app id of another kind":                   {"WeChatAccount", m{"spec.appID": "gh_0123456789abcd_"}, "spec.appID"},
		"an account nobody can leave":                 {"WeChatAccount", m{"spec.menuKeywords.withdraw": l{}}, "spec.menuKeywords.withdraw"},
		"two rules with one name":                     {"LeadModel", m{"spec.rules.1.name": "followed"}, "Duplicate value"},
		"an expression without bound":                 {"Audience", m{"spec.expression": strings.Repeat("a", 2049)}, "spec.expression: Too long"},
		"a window that opens at 24:00":                {"PushCampaign", m{"spec.schedule.window.start": "24:00"}, "spec.schedule.window.start"},
		"a page reached without encryption":           {"PushCampaign", m{"spec.channel.subscription.page": "http://brand.example"}, "spec.channel.subscription.page"},
		"a hold without a reason":                     {"SendHold", m{"spec.reason": nil}, "spec.reason: Required value"},
		"a hold on nothing":                           {"RegulatoryHold", m{"spec.scope.policies": l{}}, "spec.scope.policies"},
		"an authority that does not exist":            {"RegulatoryHold", m{"spec.authority": "Nobody"}, "spec.authority: Unsupported value"},
		"a notice without a contact":                  {"PrivacyNotice", m{"spec.processor.contact": nil}, "spec.processor.contact: Required value"},
		"a notice without the Chinese text":           {"PrivacyNotice", m{"spec.rights": m1("en", "View")}, "spec.rights.zh-CN: Required value"},
		"a mechanism without a limit":                 {"TransferMechanism", m{"spec.scope.maxPersons": nil}, "spec.scope.maxPersons: Required value"},
	}
	v, base := load(t), bases(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := v.Validate(t.Context(), c.change.on(t, base[c.kind]), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestStatusSaysThatNobodyLookedYet(t *testing.T) {
	v := load(t)
	for kind, obj := range bases(t) {
		if !v.Knows(obj) {
			continue
		}
		status, _ := v.Default(obj).Object["status"].(map[string]any)
		if status["observedGeneration"] != int64(-1) {
			t.Errorf("%s: status = %v, want observedGeneration -1", kind, status)
		}
	}
}

func TestCountsThatMayLeave(t *testing.T) {
	v := load(t)
	base := bases(t)["Audience"]
	for count, want := range map[string]bool{
		"<20": true, "20": true, "99": true, "100": true, "123456789012": true,
		"0": false, "1": false, "19": false, "<19": false, "020": false, "-1": false, "1234567890123": false, "": false,
	} {
		err := v.Validate(t.Context(), m{"status.size": count}.on(t, base), nil)
		if (err == nil) != want {
			t.Errorf("%q: %v, want accepted = %v", count, err, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder must be refused")
	}
}
