package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/maodian-dev/maodian/internal/receipt"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// problemReceipt says that a person has answered nothing yet.
var problemReceipt = problem{http.StatusNotFound, "receipt"}

type receiptView struct {
	Records        []proofView
	Notices        []eventView
	Guardians      []eventView
	Key, Principal string
	Head           []string // lines of the checkpoint
}

type proofView struct {
	ID, Purpose, Recipient, Notice, State string
	Events                                []eventView
}

type eventView struct{ UTC, Time, State, Entry string }

// showReceipt shows the essentials of a person's receipt, and how to verify it.
func (h *handler) showReceipt(w http.ResponseWriter, r *http.Request) {
	in, known := h.sealer.session(r)
	if !known { // the form finds out who it is, and links here
		http.Redirect(w, r, at("/consent", explicitLanguage(r)), http.StatusSeeOther)
		return
	}
	raw, ok := h.receipt(w, r, in)
	if !ok {
		return
	}
	got, err := receipt.Decode(raw)
	if err != nil {
		h.writeError(w, r, problemInternal, nil)
		return
	}
	h.render(w, r, http.StatusOK, h.pages.receipt(language(r), got))
}

// saveReceipt hands the receipt out as a file, byte for byte as the store made it.
func (h *handler) saveReceipt(w http.ResponseWriter, r *http.Request) {
	in, known := h.sealer.session(r)
	if !known {
		h.writeError(w, r, problemExpired, nil)
		return
	}
	raw, ok := h.receipt(w, r, in)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="consent-receipt.json"`)
	_, _ = w.Write(raw) // the reader has gone if that fails
}

// receipt asks the store; where it has none, the person is told so.
func (h *handler) receipt(w http.ResponseWriter, r *http.Request, in session) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	res, err := h.Intake.GetReceipt(ctx, &storev1.GetReceiptRequest{Account: h.Account, OpenId: forStore(in.who)})
	switch {
	case err != nil && storeclient.Word(err) == "NoConsents":
		h.writeError(w, r, problemReceipt, nil)
	case err != nil:
		h.writeError(w, r, problemStore, err)
	}
	return res.GetReceipt(), err == nil
}

// receipt is the page of a receipt.
func (p *pages) receipt(lang string, r receipt.Receipt) page {
	out := p.page(lang)
	t := p.texts[lang]
	v := &receiptView{Key: r.Evidence.VerifierKey, Principal: r.PIIPrincipalID, Head: strings.Split(strings.TrimSpace(r.Evidence.Checkpoint), "\n")}
	v.Head = slices.DeleteFunc(v.Head, func(line string) bool { return line == "" })
	for i, x := range r.Records {
		record := proofView{ID: fmt.Sprintf("r-%d", i), Notice: x.PrivacyNotice}
		for _, purpose := range x.Purposes {
			record.Purpose = named(t.Purposes, purpose.Purpose)
		}
		for _, id := range x.RecipientThirdParties {
			record.Recipient = t.party(r.Parties, id)
		}
		for _, e := range x.Events {
			record.State = t.state(e.State)
			record.Events = append(record.Events, eventView{e.Time, local8(e.Time), record.State, fmt.Sprintf(t.Text["receipt.at"], e.LogIndex)})
		}
		v.Records = append(v.Records, record)
	}
	for _, n := range r.Notices {
		said := fmt.Sprintf("%s %d · %s", t.Text["revision"], n.Evidence.NoticeRevision, n.Language)
		v.Notices = append(v.Notices, eventView{n.Time, local8(n.Time), said, fmt.Sprintf(t.Text["receipt.at"], n.LogIndex)})
	}
	for _, g := range r.Guardians {
		said := t.word("said.", string(g.GuardianState))
		if g.Relation != "" {
			said += " · " + t.word("relation.", g.Relation)
		}
		v.Guardians = append(v.Guardians, eventView{g.Time, local8(g.Time), said, fmt.Sprintf(t.Text["receipt.at"], g.LogIndex)})
	}
	out.Receipt = v
	return out
}

func (t texts) state(s string) string {
	return cmp.Or(t.Text["receipt."+s], t.Text["receipt.ConsentUnknown"])
}

func (t texts) party(parties []receipt.Party, id string) string {
	for _, p := range parties {
		if p.ID == id {
			return fmt.Sprintf("%s (%s)", p.Name, named(t.Countries, p.Country))
		}
	}
	return id
}

// local8 is a time of a record as people in the mainland read it.
func local8(utc string) string {
	at, err := time.Parse(time.RFC3339, utc)
	if err != nil {
		return utc
	}
	return at.In(beijing).Format("2006-01-02 15:04:05")
}

// addTexts adds the texts of a page that has a file of its own.
func (t texts) addTexts(page, lang string) error {
	raw, err := pageFiles.ReadFile("page/" + page + "." + lang + ".json")
	if err != nil {
		return fmt.Errorf("read texts: %w", err)
	}
	var more map[string]string
	if err := json.Unmarshal(raw, &more); err != nil {
		return fmt.Errorf("read texts of %s: %w", lang, err)
	}
	maps.Copy(t.Text, more)
	return nil
}
