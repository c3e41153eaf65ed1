package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/maodian-dev/maodian/internal/domain/law"
)

// Of is what a decision was made of, for the record.
type Of struct {
	ID    string `json:"id"`    // the first half of the SHA-256 over facts and outcome, in hexadecimal digits
	Rules string `json:"rules"` // the name of the rule pack
	Tier  string `json:"tier"`  // of mechanism that was asked for
}

// Of names a decision by everything that it was made of: who decides on the same facts by
// the same rules, at the same moment, gets the same name.
func (d Decision) Of(f Facts) Of {
	o := Of{Tier: d.Mechanism}
	if f.Pack != nil {
		o.Rules = f.Pack.Name
	}
	f.Pack = (*law.Pack)(nil)
	body, err := json.Marshal(struct {
		Facts    Facts
		Rules    string
		Decision Decision
	}{f, o.Rules, d})
	if err != nil {
		panic(err) // plain structs of texts, numbers and times
	}
	sum := sha256.Sum256(body)
	o.ID = hex.EncodeToString(sum[:len(sum)/2])
	return o
}
