package v1alpha1

// DataCategory names a kind of personal data. Some are sensitive whoever they are about.
// +kubebuilder:validation:Enum=WeChatOpenID;WeChatUnionID;PseudonymousID;Nickname;AvatarURL;ContactPhone;ContactEmail;PostalAddress;LegalName;MessageContent;InteractionEvent;InterestTag;LeadScore;PurchaseHistory;DeviceIdentifier;IPAddress;ConsentEvent;DeliveryEvent;BirthDate;AgeBand;GuardianContact;PreciseLocation;MovementTrack;CoarseRegion;IDDocumentNumber;FinancialAccount;Health;Biometric;ReligiousBelief;SpecificIdentity;AnyUnder14;AnonymousAggregate
type DataCategory string

// Data categories.
const (
	CategoryWeChatOpenID       DataCategory = "WeChatOpenID"
	CategoryWeChatUnionID      DataCategory = "WeChatUnionID"
	CategoryPseudonymousID     DataCategory = "PseudonymousID"
	CategoryNickname           DataCategory = "Nickname"
	CategoryAvatarURL          DataCategory = "AvatarURL"
	CategoryContactPhone       DataCategory = "ContactPhone"
	CategoryContactEmail       DataCategory = "ContactEmail"
	CategoryPostalAddress      DataCategory = "PostalAddress"
	CategoryLegalName          DataCategory = "LegalName"
	CategoryMessageContent     DataCategory = "MessageContent"
	CategoryInteractionEvent   DataCategory = "InteractionEvent"
	CategoryInterestTag        DataCategory = "InterestTag"
	CategoryLeadScore          DataCategory = "LeadScore"
	CategoryPurchaseHistory    DataCategory = "PurchaseHistory"
	CategoryDeviceIdentifier   DataCategory = "DeviceIdentifier"
	CategoryIPAddress          DataCategory = "IPAddress"
	CategoryConsentEvent       DataCategory = "ConsentEvent"
	CategoryDeliveryEvent      DataCategory = "DeliveryEvent"
	CategoryBirthDate          DataCategory = "BirthDate"
	CategoryAgeBand            DataCategory = "AgeBand"
	CategoryGuardianContact    DataCategory = "GuardianContact"
	CategoryPreciseLocation    DataCategory = "PreciseLocation"
	CategoryMovementTrack      DataCategory = "MovementTrack"
	CategoryCoarseRegion       DataCategory = "CoarseRegion"
	CategoryIDDocumentNumber   DataCategory = "IDDocumentNumber"
	CategoryFinancialAccount   DataCategory = "FinancialAccount"
	CategoryHealth             DataCategory = "Health"
	CategoryBiometric          DataCategory = "Biometric"
	CategoryReligiousBelief    DataCategory = "ReligiousBelief"
	CategorySpecificIdentity   DataCategory = "SpecificIdentity"
	CategoryAnyUnder14         DataCategory = "AnyUnder14"
	CategoryAnonymousAggregate DataCategory = "AnonymousAggregate"
)

// LegalBasis is a ground of PIPL Art. 13. There is no legitimate interest in that law.
// +kubebuilder:validation:Enum=Consent;Contract;HumanResources;StatutoryDuty;EmergencyProtection;NewsPublicInterest;LawfullyPublic;OtherStatutory
type LegalBasis string

// Legal bases.
const (
	// LegalBasisConsent is Art. 13(1).
	LegalBasisConsent LegalBasis = "Consent"
	// LegalBasisContract is the first half of Art. 13(2).
	LegalBasisContract LegalBasis = "Contract"
	// LegalBasisHumanResources is the second half of Art. 13(2).
	LegalBasisHumanResources LegalBasis = "HumanResources"
	// LegalBasisStatutoryDuty is Art. 13(3).
	LegalBasisStatutoryDuty LegalBasis = "StatutoryDuty"
	// LegalBasisEmergencyProtection is Art. 13(4).
	LegalBasisEmergencyProtection LegalBasis = "EmergencyProtection"
	// LegalBasisNewsPublicInterest is Art. 13(5).
	LegalBasisNewsPublicInterest LegalBasis = "NewsPublicInterest"
	// LegalBasisLawfullyPublic is Art. 13(6).
	LegalBasisLawfullyPublic LegalBasis = "LawfullyPublic"
	// LegalBasisOtherStatutory is Art. 13(7).
	LegalBasisOtherStatutory LegalBasis = "OtherStatutory"
)
