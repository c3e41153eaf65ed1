package gateway

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// linkView is a link to pass on.
type linkView struct {
	Address string
	Size    int // modules of the picture, the quiet zone included
	Modules template.HTMLAttr
}

// guardianView is what a guardian is asked.
type guardianView struct {
	Age       string
	Confirmed bool
	Relations []relationView
}

type relationView struct{ Value, Title string }

// quiet is the margin that readers of QR codes ask for, in modules (ISO/IEC 18004).
const quietZone = 4

// link shows a link as text and as a QR code, drawn as one path: no picture is loaded.
func (p *pages) link(lang, address string) (page, error) {
	code, err := qr.Encode(address, qr.M, qr.Auto)
	if err != nil {
		return page{}, fmt.Errorf("draw link: %w", err)
	}
	var path strings.Builder
	size := code.Bounds().Dx()
	for y := range size {
		for x := range size {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				_, _ = fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	out := p.page(lang)
	out.Link = &linkView{Address: address, Size: size + 2*quietZone, Modules: template.HTMLAttr(path.String())} //nolint:gosec // digits and four letters
	return out, nil
}

// guardian shows what a minor agreed to, in the words of the notice.
func (p *pages) guardian(lang string, c *storev1.GetGuardianCaseResponse, csrf, hint string) page {
	a := answers{grants: map[item]bool{}}
	for _, x := range c.GetChoices() {
		a.grants[item{x.GetPurpose(), x.GetRecipient()}] = x.GetGranted()
	}
	out := p.form(lang, c.GetNotice(), a, csrf, hint)
	t := p.texts[lang].Text
	g := &guardianView{Confirmed: c.GetGuardianState() == string(consent.GuardianVerified)}
	for _, x := range ages {
		if string(x.band) == c.GetAgeBand() {
			g.Age = t["age."+string(x.answer)]
		}
	}
	for _, x := range relations {
		g.Relations = append(g.Relations, relationView{x, t["relation."+x]})
	}
	out.Guardian = g
	return out
}
