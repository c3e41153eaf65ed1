package receipt

import (
	"cmp"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/law"
)

// How a consent is withdrawn (PIPL 15: as easily as it was given).
const withdrawal = "untick it on the consent page of the WeChat account, write a withdrawal keyword in the chat, or unfollow the account (PIPL 15)"

// dpv are the DPV terms of our purposes (law.md 8.1); a purpose without one keeps its name.
var dpv = map[string]string{
	"AccountOperation": "CustomerRelationshipManagement", "DirectMarketing": "DirectMarketing", "PersonalizedMarketing": "PersonalisedAdvertising",
	"LeadScoring": "Personalisation", "CustomerService": "CommunicationForCustomerCare", "OrderFulfilment": "DeliveryOfGoods",
	"ServiceAnalytics": "ServiceUsageAnalytics", "AgeVerification": "AgeVerification", "RightsFulfilment": "RightsFulfilment",
	"LegalCompliance": "LegalCompliance", "SecurityProtection": "FraudPreventionAndDetection",
}

func purposeType(purpose string) string { return cmp.Or(dpv[purpose], purpose) }

// stateOf and typeOf are DPV terms, but for an end by time, for which DPV has a state only.
func stateOf(a consent.Action) string {
	switch a {
	case consent.Given:
		return "ConsentGiven"
	case consent.Refused:
		return "ConsentRefused"
	case consent.Withdrawn:
		return "ConsentWithdrawn"
	case consent.Expired:
		return "ConsentExpired"
	default:
		return "ConsentUnknown"
	}
}

func typeOf(a consent.Action) string {
	switch a {
	case consent.Given:
		return "ProvideConsent"
	case consent.Refused:
		return "RefuseConsent"
	case consent.Withdrawn:
		return "WithdrawConsent"
	case consent.Expired:
		return "ExpireConsent"
	default:
		return "Unknown"
	}
}

// GuardianTerms are event_type and event_state of what a guardian said, or was asked.
func GuardianTerms(s consent.GuardianState) (typ, state string) {
	switch s {
	case consent.GuardianPending:
		return "RequestConsent", "ConsentRequested"
	case consent.GuardianVerified:
		return typeOf(consent.Given), stateOf(consent.Given)
	case consent.GuardianRefused:
		return typeOf(consent.Refused), stateOf(consent.Refused)
	case consent.GuardianWithdrawn:
		return typeOf(consent.Withdrawn), stateOf(consent.Withdrawn)
	case consent.GuardianNone, consent.GuardianRequired:
	}
	return typeOf(consent.None), stateOf(consent.None)
}

// article is the provision that an act rests on (law.md 3.3).
func (s said) article(shown *Shown) string {
	switch s.Action {
	case consent.Refused:
		return "PIPL 16"
	case consent.Withdrawn:
		return "PIPL 15"
	case consent.Expired:
		return "NDSMR 22(4)"
	default:
	}
	if r := shown.recipient(s.Recipient); r != nil && r.Country == "CN" {
		return "PIPL 23"
	} else if r != nil {
		return "PIPL 39"
	}
	switch {
	case s.Recipient != "": // whoever it was, the notice is not at hand
		return "PIPL 23, 39"
	case s.Purpose == "PersonalizedMarketing":
		return "PIPL 13(1), 14, 24"
	}
	return "PIPL 13(1), 14"
}

// channel is where the person acted.
func (s said) channel() string {
	switch s.Control {
	case consent.Keyword, consent.Menu, consent.Unfollow:
		return "WeChatChat"
	case consent.Page, consent.Guardian:
		return "WeChatPage"
	case consent.Setting:
		return "WeChatSettings"
	default:
		return string(s.Control)
	}
}

// validity is how long a consent may be used: to the end that was named, or as long as the
// notice says that data is kept. What was refused or is over is valid for no time.
func (s said) validity(at time.Time, shown *Shown) string {
	switch {
	case s.Action != consent.Given:
		return "P0D"
	case s.Ends > at.UnixMilli():
		return fmt.Sprintf("PT%dS", (s.Ends-at.UnixMilli())/1000)
	case shown != nil && shown.RetentionDays > 0:
		return days(shown.RetentionDays)
	}
	return Unstated
}

func days(n int64) string { return fmt.Sprintf("P%dD", n) }

// recipient finds a recipient of the notice.
func (s *Shown) recipient(name string) *ShownRecipient {
	if s == nil || name == "" {
		return nil
	}
	for i := range s.Recipients {
		if s.Recipients[i].Name == name {
			return &s.Recipients[i]
		}
	}
	return nil
}

// purpose finds a purpose of the notice.
func (s *Shown) purpose(name string) *ShownPurpose {
	if s == nil {
		return nil
	}
	for i := range s.Purposes {
		if s.Purposes[i].Name == name {
			return &s.Purposes[i]
		}
	}
	return nil
}

func pii(categories []string) []PII {
	out := []PII{}
	for _, c := range categories {
		out = append(out, PII{c, law.Sensitive(c)})
	}
	return out
}

func local(text map[string]string, lang string) string {
	return cmp.Or(text[lang], text["zh-CN"])
}
