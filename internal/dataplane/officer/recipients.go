package officer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// line is one line of a letter, for the recipient's machine to read.
type line struct {
	ID    string    `json:"id"`    // that the recipient was given
	Kind  string    `json:"kind"`  // Withdrawn, Erased, Corrected
	Since time.Time `json:"since"` // records that were sent later are not meant
}

// recipients does a task about those to whom records went. A letter holds identifiers that
// say nothing but to its recipient, and leaves the region as records do: by hand, under the
// same contract.
func (t Task) recipients(ctx context.Context, c *storeclient.Client) error {
	switch t.Do {
	case "recipients":
		res, err := c.Officer.ListRecipientDuties(ctx, &storev1.ListRecipientDutiesRequest{})
		if err != nil {
			return fmt.Errorf("list recipients: %w", err)
		}
		return t.write(res)
	case "tell":
		return t.tell(ctx, c)
	}
	if _, err := c.Officer.AcknowledgeLetter(ctx, &storev1.AcknowledgeLetterRequest{Recipient: t.Recipient, Letter: t.Reference, Reference: t.Answer}); err != nil {
		return fmt.Errorf("acknowledge letter: %w", err)
	}
	return nil
}

// tell writes a letter. If that fails, the same reference gives the same letter again.
func (t Task) tell(ctx context.Context, c *storeclient.Client) error {
	f, err := os.OpenFile(t.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // before anything is noted as told
	if err != nil {
		return fmt.Errorf("write letter: %w", err)
	}
	res, err := c.Officer.TellRecipient(ctx, &storev1.TellRecipientRequest{Recipient: t.Recipient, Reference: t.Reference})
	if err != nil {
		return errors.Join(fmt.Errorf("tell recipient: %w", err), f.Close(), os.Remove(t.Out))
	}
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for _, n := range res.GetNotifications() {
		if err := lines.Encode(line{n.GetId(), n.GetKind(), n.GetSince().AsTime()}); err != nil {
			return errors.Join(fmt.Errorf("encode letter: %w", err), f.Close())
		}
	}
	_, err = body.WriteTo(f)
	return errors.Join(err, f.Sync(), f.Close())
}
