package law

// Sensitive tells whether a category is sensitive by its kind, whatever the pack (PIPL 28;
// law.md 8.2). A pack may add to these, never take away.
func Sensitive(category string) bool {
	switch category {
	case "PreciseLocation", "MovementTrack", "MessageContent", "IDDocumentNumber", "FinancialAccount", "Health", "Biometric",
		"ReligiousBelief", "SpecificIdentity", "AnyUnder14":
		return true
	}
	return false
}
