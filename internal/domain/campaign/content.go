package campaign

import "github.com/maodian-dev/maodian/internal/domain/reason"

// Content is what a campaign tells those who get it, apart from what it sells.
type Content struct {
	Purpose       string
	SenderName    string
	SenderContact string
	OptOut        bool // people are told how to get no more, where they read it
	NonPersonal   bool // people are offered a choice that no score made, or an easy refusal
}

// Refusals names what an advertisement lacks: who sends it and how to reach them, how to
// refuse more (Advertising Law 43), and where a score selects people, a way around it
// (PIPL 24).
func Refusals(c Content) (out []reason.Code) {
	scored := c.Purpose == "PersonalizedMarketing"
	if !scored && c.Purpose != "DirectMarketing" {
		return nil
	}
	if scored && !c.NonPersonal {
		out = append(out, reason.NonPersonalizedOptionMissing)
	}
	if c.SenderName == "" || c.SenderContact == "" {
		out = append(out, reason.SenderIdentityMissing)
	}
	if !c.OptOut {
		out = append(out, reason.OptOutInstructionMissing)
	}
	return out
}
