package gather

import (
	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// Notice is a notice in its own words, as the rules look at it.
func Notice(s residencyv1.PrivacyNoticeSpec) notice.Notice {
	out := notice.Notice{
		Processor: s.Processor.Name, Contact: s.Processor.Contact, RetentionDays: int64(s.RetentionDays), StoragePlace: s.StoragePlace,
		StoragePlaceText: languages(s.StoragePlaceText), Rights: languages(s.Rights), Refusal: languages(s.Refusal),
		Method: languages(s.Method), Safeguards: languages(s.Safeguards), AutomatedDecision: languages(s.AutomatedDecision), Complaints: languages(s.Complaints),
	}
	for _, p := range s.Purposes {
		out.Purposes = append(out.Purposes, notice.Purpose{
			Name: string(p.Name), Description: languages(p.Description), Categories: words(p.Categories),
			Necessity: languages(p.Sensitive.Necessity), Impact: languages(p.Sensitive.Impact),
		})
	}
	for _, r := range s.Recipients {
		out.Recipients = append(out.Recipients, notice.Recipient{
			Name: r.Name, DisplayName: r.DisplayName, Contact: r.Contact, Country: r.Country, RightsChannel: r.RightsChannel,
			Purposes: words(r.Purposes), Categories: words(r.Categories), Method: languages(r.Method),
		})
	}
	return out
}

// NoticeVersion names the text of a spec as people read it, standard texts included.
func NoticeVersion(s residencyv1.PrivacyNoticeSpec) notice.Version {
	return notice.Version{Revision: int64(s.Revision), Hash: Notice(s).Complete().Hash()}
}

// noticeMessage is what a store gets of a notice: the text when the present revision is the
// published one, otherwise the name of the text that it keeps.
func noticeMessage(n *residencyv1.PrivacyNotice) *storev1.Notice {
	if n == nil || n.Status.PublishedRevision == 0 {
		return nil
	}
	if !published(n) {
		return &storev1.Notice{Name: n.Name, Revision: int64(n.Status.PublishedRevision), ContentHash: n.Status.PublishedHash, TextKept: true}
	}
	c := Notice(n.Spec).Complete()
	out := &storev1.Notice{
		Name: n.Name, Revision: int64(n.Spec.Revision), ContentHash: c.Hash(), ProcessorName: c.Processor, ProcessorContact: c.Contact,
		RetentionDays: c.RetentionDays, StoragePlace: c.StoragePlace, StoragePlaceText: c.StoragePlaceText, Rights: c.Rights, Refusal: c.Refusal,
		Method: c.Method, Safeguards: c.Safeguards, AutomatedDecision: c.AutomatedDecision, Complaints: c.Complaints,
	}
	for _, p := range c.Purposes {
		out.Purposes = append(out.Purposes, &storev1.Purpose{
			Name: p.Name, Description: p.Description, Categories: p.Categories, Necessity: p.Necessity, Impact: p.Impact,
		})
	}
	for _, r := range c.Recipients {
		out.Recipients = append(out.Recipients, &storev1.Recipient{
			Name: r.Name, DisplayName: r.DisplayName, Contact: r.Contact, Country: r.Country, RightsChannel: r.RightsChannel,
			Purposes: r.Purposes, Categories: r.Categories, Method: r.Method,
		})
	}
	return out
}

// languages is a text by language; nil where there is none.
func languages(t metav1alpha1.LocalizedText) map[string]string {
	if t.ZhCN == "" && t.En == "" {
		return nil
	}
	out := map[string]string{notice.Chinese: t.ZhCN}
	if t.En != "" {
		out[notice.English] = t.En
	}
	return out
}
