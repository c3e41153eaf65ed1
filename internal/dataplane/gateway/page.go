package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Languages of the page; zh-CN is the one that binds.
const (
	langZh = "zh-CN"
	langEn = "en"
)

//go:embed page
var pageFiles embed.FS

// texts are the page's own words in one language, and names for the words of a notice.
type texts struct {
	Text       map[string]string `json:"text"`
	Purposes   map[string]string `json:"purposes"`
	Categories map[string]string `json:"categories"`
	Countries  map[string]string `json:"countries"`
}

// pages makes the pages. They hold no script, and a style that the policy admits by hash.
type pages struct {
	layout    *template.Template
	style     template.CSS
	styleHash string
	texts     map[string]texts
}

func loadPages() (*pages, error) {
	style, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return nil, fmt.Errorf("read style: %w", err)
	}
	sum := sha256.Sum256(style)
	p := &pages{
		style:     template.CSS(style), //nolint:gosec // embedded
		styleHash: "sha256-" + base64.StdEncoding.EncodeToString(sum[:]),
		texts:     map[string]texts{},
	}
	if p.layout, err = template.New("layout.html").Funcs(template.FuncMap{"dict": dict}).Option("missingkey=error").ParseFS(pageFiles, "page/*.html"); err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	for _, lang := range []string{langZh, langEn} {
		var t texts
		for _, part := range []string{"", "record."} { // the second adds to the first
			raw, err := pageFiles.ReadFile("page/" + part + lang + ".json")
			if err != nil {
				return nil, fmt.Errorf("read texts: %w", err)
			}
			if err := json.Unmarshal(raw, &t); err != nil {
				return nil, fmt.Errorf("read texts of %s: %w", lang, err)
			}
		}
		if err := t.addTexts("receipt", lang); err != nil {
			return nil, err
		}
		p.texts[lang] = t
	}
	return p, nil
}

// dict lets a template hand on more than one thing.
func dict(t map[string]string, list []entryView) map[string]any {
	return map[string]any{"T": t, "List": list}
}

// page is what the layout shows: a form, a message, a record or a receipt.
type page struct {
	Lang, Other string
	Style       template.CSS
	T           map[string]string
	Form        *formView
	Guardian    *guardianView // beside Form
	Link        *linkView
	Message     *messageView
	Record      *recordView
	Confirm     *confirmView
	Receipt     *receiptView
}

// messageView is a text, and a way on: to a path, by words. AskGuardian is the token of the form
// that asks one, or empty. Held: something is held about the reader, so record and receipt are worth a link.
type messageView struct {
	Title, Text, To, Back, AskGuardian string
	Held                               bool
}

type formView struct {
	CSRF, Hint         string
	Revision           int64
	Processor, Contact string
	Purposes           []itemView
	Recipients         []recipientView
	Ages               []ageView
	Retention, Storage string
	Rights, Refusal    string
	Guardian           string // what to say of a guardian's consent, if one is needed

	Method, Safeguards, AutomatedDecision, Complaints string
}

type itemView struct {
	ID, Value, Title, Description string
	Giving                        string // what ticking allows, of a box that is about a recipient
	Categories                    []string
	Necessity, Impact             string // of sensitive data
	Adults                        string // of marketing selected by a score: whom it never reaches
	Ticked                        bool
}

type recipientView struct {
	Name, Contact, Country, RightsChannel string
	Method                                string
	Abroad                                bool
	Categories                            []string
	Items                                 []itemView
}

type ageView struct {
	Value, Title string
	Ticked       bool
}

func (p *pages) page(lang string) page {
	other := langEn
	if lang == langEn {
		other = langZh
	}
	return page{Lang: lang, Other: other, Style: p.style, T: p.texts[lang].Text}
}

// message is a page with the text of that word and a way back to the form.
func (p *pages) message(lang, word string) page {
	out := p.page(lang)
	back := "again" // what was recorded can be looked at; else there is only another try
	if strings.HasPrefix(word, "done") || strings.HasPrefix(word, "guardian") {
		back = "back"
	}
	out.Message = &messageView{Title: out.T[word+".title"], Text: out.T[word+".text"], To: "/consent", Back: out.T[back], Held: strings.HasPrefix(word, "done")}
	return out
}

// asking is the form as the person themselves sees it, who may need a guardian.
func (p *pages) asking(lang string, r *storev1.GetPreferencesResponse, given answers, csrf, hint string) page {
	out := p.form(lang, r.GetNotice(), given, csrf, hint)
	if s := r.GetGuardianState(); s != "" {
		out.Form.Guardian = out.T["guardian.is."+s]
	}
	return out
}

// form shows every item of the notice, with the given answers. hint names a text to read
// first, or is empty.
func (p *pages) form(lang string, n *storev1.Notice, given answers, csrf, hint string) page {
	out := p.page(lang)
	t := p.texts[lang]
	f := &formView{
		CSRF: csrf, Hint: t.Text[hint], Revision: n.GetRevision(),
		Processor: n.GetProcessorName(), Contact: n.GetProcessorContact(),
		Retention: fmt.Sprintf(t.Text["retention"], n.GetRetentionDays()), Storage: cmp.Or(local(n.GetStoragePlaceText(), lang), n.GetStoragePlace()),
		Rights: local(n.GetRights(), lang), Refusal: local(n.GetRefusal(), lang),
		Method: local(n.GetMethod(), lang), Safeguards: local(n.GetSafeguards(), lang),
		AutomatedDecision: local(n.GetAutomatedDecision(), lang), Complaints: local(n.GetComplaints(), lang),
	}
	about := map[string]string{}
	for _, purpose := range n.GetPurposes() {
		about[purpose.GetName()] = local(purpose.GetDescription(), lang)
		i := t.item(item{purpose: purpose.GetName()}, about, given, purpose.GetCategories())
		i.Necessity, i.Impact = local(purpose.GetNecessity(), lang), local(purpose.GetImpact(), lang)
		if purpose.GetName() == "PersonalizedMarketing" {
			i.Adults = t.Text["adults"]
		}
		f.Purposes = append(f.Purposes, i)
	}
	for _, r := range n.GetRecipients() {
		v := recipientView{
			Name: cmp.Or(r.GetDisplayName(), r.GetName()), Contact: r.GetContact(), RightsChannel: r.GetRightsChannel(),
			Method: local(r.GetMethod(), lang), Abroad: r.GetCountry() != "CN", Country: named(t.Countries, r.GetCountry()), Categories: all(t.Categories, r.GetCategories()),
		}
		for _, purpose := range r.GetPurposes() {
			box := t.item(item{purpose, r.GetName()}, about, given, nil)
			box.Giving = fmt.Sprintf(t.Text["giving"], v.Name)
			v.Items = append(v.Items, box)
		}
		f.Recipients = append(f.Recipients, v)
	}
	for _, a := range ages {
		f.Ages = append(f.Ages, ageView{string(a.answer), t.Text["age."+string(a.answer)], a.answer == given.age})
	}
	out.Form = f
	return out
}

func (t texts) item(i item, about map[string]string, given answers, categories []string) itemView {
	return itemView{
		ID: "i-" + i.value(), Value: i.value(), Title: named(t.Purposes, i.purpose), Description: about[i.purpose],
		Categories: all(t.Categories, categories), Ticked: given.grants[i],
	}
}

// named translates a word of the notice; one that we do not know is shown as it is.
func named(names map[string]string, word string) string { return cmp.Or(names[word], word) }

func all(names map[string]string, words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = named(names, w)
	}
	return out
}

// local picks a text of the notice; where there is no translation the binding one stands.
func local(text map[string]string, lang string) string { return cmp.Or(text[lang], text[langZh]) }

// render writes a page, whole or not at all.
func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	var body bytes.Buffer
	if err := h.pages.layout.Execute(&body, p); err != nil {
		h.Log.ErrorContext(r.Context(), "Page not made")
		ended(w, problemInternal)
		http.Error(w, problemInternal.word, problemInternal.status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", p.Lang)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the reader has gone if that fails
}
