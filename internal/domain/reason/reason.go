// Package reason is the catalogue of refusals: one stable code each, what it does,
// the article or rule behind it, and the change that would pass. The codes appear in
// conditions, events, admission messages and metric labels, so they never change and
// never carry anything about a person.
package reason

// Code is a stable CamelCase reason (law.md 8.6, and the channel codes of ours).
type Code string

// Effect says what a code does to a decision.
type Effect string

// Effects.
const (
	Allow    Effect = "Allow"
	Deny     Effect = "Deny"     // the whole request is refused
	Terminal Effect = "Terminal" // refused, and other codes are not published beside it
	Hold     Effect = "Hold"     // refused until somebody has looked at it
	Warn     Effect = "Warn"     // goes on, and somebody should do something
	Filter   Effect = "Filter"   // this person is left out, the rest goes on
	Place    Effect = "Place"    // this node, volume or host is not used
)

// Info explains a code.
type Info struct {
	Effect Effect
	Cites  []string // what is behind it where no rule pack has it: a policy field, or that what is unknown is refused
	Says   string   // what is wrong, without values
	Remedy string   // what would pass
}

// Codes that more than one package names.
const (
	AllChecksPassed Code = "AllChecksPassed"

	ConsentMissing       Code = "ConsentMissing"
	ConsentNotSeparate   Code = "ConsentNotSeparate"
	ConsentNotPrior      Code = "ConsentNotPrior"
	ConsentWithdrawn     Code = "ConsentWithdrawn"
	ConsentRefused       Code = "ConsentRefused"
	ConsentStaleNotice   Code = "ConsentStaleNotice"
	ConsentScopeExceeded Code = "ConsentScopeExceeded"

	GuardianConsentMissing  Code = "GuardianConsentMissing"
	GuardianUnverified      Code = "GuardianUnverified"
	AgeUnknown              Code = "AgeUnknown"
	MinorAutomatedMarketing Code = "MinorAutomatedMarketing"
	MarketingConsentMissing Code = "MarketingConsentMissing"
	OptOutRecorded          Code = "OptOutRecorded"
	RetentionExpired        Code = "RetentionExpired"
	ReaskTooFrequent        Code = "ReaskTooFrequent"

	NoticeNotPublished            Code = "NoticeNotPublished"
	NoticeIncomplete              Code = "NoticeIncomplete"
	ConflictsWithSubjectInterests Code = "ConflictsWithSubjectInterests"
	NecessityNotShown             Code = "NecessityNotShown"
	ExcessiveCategories           Code = "ExcessiveCategories"
	PIAMissing                    Code = "PIAMissing"
	PIAExpired                    Code = "PIAExpired"
	PIANegative                   Code = "PIANegative"
	MechanismMissing              Code = "MechanismMissing"
	MechanismInsufficient         Code = "MechanismInsufficient"
	MechanismNotInForce           Code = "MechanismNotInForce"
	MechanismExpired              Code = "MechanismExpired"
	MechanismSuspended            Code = "MechanismSuspended"
	MechanismScopeExceeded        Code = "MechanismScopeExceeded"
	StandardContractNotFiled      Code = "StandardContractNotFiled"
	CIIOAssessmentRequired        Code = "CIIOAssessmentRequired"
	StandardContractFilingDue     Code = "StandardContractFilingDue"
	MechanismExpiring             Code = "MechanismExpiring"
	ExemptionNotApplicable        Code = "ExemptionNotApplicable"
	ExemptionEvidenceMissing      Code = "ExemptionEvidenceMissing"
	CIIOStatusUnknown             Code = "CIIOStatusUnknown"
	ImportantDataUnassessed       Code = "ImportantDataUnassessed"
	ImportantDataUnknown          Code = "ImportantDataUnknown"
	ImportantDataNotNotified      Code = "ImportantDataNotNotified"
	ExportControlledData          Code = "ExportControlledData"
	CoreDataProhibited            Code = "CoreDataProhibited"
	NationalSecurityReview        Code = "NationalSecurityReview"
	PublicSecurityHold            Code = "PublicSecurityHold"
	ForeignAuthorityRequest       Code = "ForeignAuthorityRequest"
	RecipientRestricted           Code = "RecipientRestricted"
	DestinationRestricted         Code = "DestinationRestricted"
	RemoteAccessUndeclared        Code = "RemoteAccessUndeclared"
	VolumeSplittingSuspected      Code = "VolumeSplittingSuspected"
	ConsentBundled                Code = "ConsentBundled"
	RecipientUnidentified         Code = "RecipientUnidentified"
	RecordRetentionNotSet         Code = "RecordRetentionNotSet"
	OnwardTransferOutsideGBA      Code = "OnwardTransferOutsideGBA"
	CounterUnavailable            Code = "CounterUnavailable"
	DestinationUnknown            Code = "DestinationUnknown"
	PolicyStale                   Code = "PolicyStale"
	PolicyMissing                 Code = "PolicyMissing"
	RulePackUnknown               Code = "RulePackUnknown"
	RulePackNotInForce            Code = "RulePackNotInForce"
	LegalBasisUnsupported         Code = "LegalBasisUnsupported"
	MaxPersonsReached             Code = "MaxPersonsReached"
	SizeLimitReached              Code = "SizeLimitReached"

	PlacementNotMainland  Code = "PlacementNotMainland"
	RegionUnknown         Code = "RegionUnknown"
	RegionSignalsDisagree Code = "RegionSignalsDisagree"
	RegionNotInPolicy     Code = "RegionNotInPolicy"
	NotAttested           Code = "NotAttested"
	StorageNotMainland    Code = "StorageNotMainland"

	// Codes of the admission guard: ours, beside the places of law.md 8.6.
	HostAccessClosed        Code = "HostAccessClosed"
	ImageNotInPolicy        Code = "ImageNotInPolicy"
	NetworkNotInPolicy      Code = "NetworkNotInPolicy"
	CredentialsExposed      Code = "CredentialsExposed"
	InteractiveAccessClosed Code = "InteractiveAccessClosed"
	GovernedNamespace       Code = "GovernedNamespace"
	ExceptionNotGranted     Code = "ExceptionNotGranted"
	NodeReserved            Code = "NodeReserved"
	PersonalDataInSpec      Code = "PersonalDataInSpec"

	// Channel codes: ours, not of law.md 8.6.
	NotInAudience       Code = "NotInAudience"
	NoSubscriptionGrant Code = "NoSubscriptionGrant"
	NotFollowing        Code = "NotFollowing"
	FrequencyCapReached Code = "FrequencyCapReached"
	CampaignHeld        Code = "CampaignHeld"
	OutsideWindow       Code = "OutsideWindow"
	RefusedByPlatform   Code = "RefusedByPlatform"

	NonPersonalizedOptionMissing Code = "NonPersonalizedOptionMissing"
	SenderIdentityMissing        Code = "SenderIdentityMissing"
	OptOutInstructionMissing     Code = "OptOutInstructionMissing"
)

// Lookup explains code; an unknown code denies and says so.
func Lookup(code Code) Info {
	if i, ok := catalogue[code]; ok {
		return i
	}
	return Info{Effect: Deny, Cites: []string{"fail closed"}, Says: "the reason is not in the catalogue", Remedy: "report this as a defect"}
}

// Codes returns how many codes the catalogue explains, for tests and the documentation.
func Codes() map[Code]Info {
	out := make(map[Code]Info, len(catalogue))
	for c, i := range catalogue {
		out[c] = i
	}
	return out
}
