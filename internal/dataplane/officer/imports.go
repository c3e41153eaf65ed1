package officer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/store"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// longestLine of an import, in bytes: somebody with a few dozen consents.
const longestLine = 64 << 10

// row is one line of an import: somebody whom the processor knew before.
type row struct {
	OpenID    string       `json:"openid"`
	Following bool         `json:"following"`
	Consents  []rowConsent `json:"consents"`
}

// rowConsent is a consent that was collected elsewhere. Without evidence it does not count.
type rowConsent struct {
	Purpose        string    `json:"purpose"`
	Recipient      string    `json:"recipient"`
	NoticeRevision int64     `json:"noticeRevision"`
	CollectedAt    time.Time `json:"collectedAt"`
	Evidence       string    `json:"evidence"`
}

// readRow reads one line. Errors name no content: it is about a person.
func readRow(line []byte) (*storev1.ImportedPerson, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r row
	if err := d.Decode(&r); err != nil || d.More() {
		return nil, errors.New("is no JSON object with the fields openid, following and consents")
	}
	if r.OpenID == "" {
		return nil, errors.New("has no openid")
	}
	p := &storev1.ImportedPerson{OpenId: r.OpenID, Following: r.Following}
	for _, c := range r.Consents {
		if len(c.Evidence) > store.MaxEvidence {
			return nil, fmt.Errorf("has an evidence of more than %d bytes: name the document, do not copy it", store.MaxEvidence)
		}
		x := &storev1.ImportedConsent{Purpose: c.Purpose, Recipient: c.Recipient, NoticeRevision: c.NoticeRevision, Evidence: c.Evidence}
		if !c.CollectedAt.IsZero() {
			x.CollectedAt = timestamppb.New(c.CollectedAt)
		}
		p.Consents = append(p.Consents, x)
	}
	return p, nil
}

// imports sends a file in batches. Every batch is taken as a whole, and the same file can be
// sent again after a failure: what was taken changes nothing the second time.
func (t Task) imports(ctx context.Context, c *storeclient.Client) error {
	f, err := os.Open(t.File)
	if err != nil {
		return fmt.Errorf("read import: %w", err)
	}
	defer f.Close()
	sum := &storev1.ImportPeopleResponse{}
	batch := &storev1.ImportPeopleRequest{Account: t.Account}
	send := func() error {
		res, err := c.Officer.ImportPeople(ctx, batch)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		sum.People, sum.Consents = sum.GetPeople()+res.GetPeople(), sum.GetConsents()+res.GetConsents()
		sum.Unproved, sum.Contradicted = sum.GetUnproved()+res.GetUnproved(), sum.GetContradicted()+res.GetContradicted()
		batch.People = batch.People[:0]
		return nil
	}
	err = eachLine(f, func(line []byte) error {
		p, err := readRow(line)
		if err != nil {
			return err
		}
		if batch.People = append(batch.People, p); len(batch.GetPeople()) == store.MaxImported {
			return send()
		}
		return nil
	})
	if err == nil && len(batch.GetPeople()) > 0 {
		err = send()
	}
	if err != nil {
		return err
	}
	return t.write(sum)
}

// eachLine calls take for every line that is not empty, and says in which one an error is.
func eachLine(in io.Reader, take func(line []byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 4096), longestLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := take(lines.Bytes()); err != nil {
			return fmt.Errorf("%w: line %d %w", ErrTask, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: line %d is too long, or the file cannot be read", ErrTask, n+1)
	}
	return nil
}
