package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// delivery is what one transfer left in the bucket.
type delivery struct {
	rows         int
	all          []map[string]any
	ids, keys    map[string]bool
	sums, listed []string // hashes of the parts that are there, and of those in the manifest
	manifest     string   // its hash
	partial      bool
}

func (s *story) delivery(ctx context.Context, transfer string) (delivery, error) {
	d := delivery{ids: map[string]bool{}, keys: map[string]bool{}}
	objects, err := s.objects(ctx)
	if err != nil {
		return d, err
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(name, "cn/"+transfer+"/") {
			continue
		}
		if err := d.take(name, objects[name]); err != nil {
			return d, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return d, nil
}

func (d *delivery) take(name string, body []byte) error {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if strings.HasSuffix(name, "/manifest.json") {
		var m struct {
			Parts   []struct{ SHA256 string }
			Partial bool
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return err
		}
		d.manifest, d.partial = hash, m.Partial
		for _, p := range m.Parts {
			d.listed = append(d.listed, p.SHA256)
		}
		return nil
	}
	d.sums = append(d.sums, hash)
	for line := range bytes.Lines(body) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			return err
		}
		d.rows++
		d.all = append(d.all, row)
		d.ids[fmt.Sprint(row["id"])] = true
		for k := range row {
			d.keys[k] = true
		}
	}
	return nil
}

// request applies the next transfer under a name, changed.
func (s *story) request(ctx context.Context, name string, change func(*residencyv1.DataTransferSpec)) error {
	var t residencyv1.DataTransfer
	if err := yaml.Unmarshal([]byte(staged("next-transfer.yaml")), &t); err != nil {
		return fmt.Errorf("read transfer: %w", err)
	}
	t.Name = name
	change(&t.Spec)
	text, err := yaml.Marshal(&t)
	if err != nil {
		return fmt.Errorf("write transfer: %w", err)
	}
	return s.applyText(ctx, string(text))
}

// slow makes a transfer last some ten seconds, object by object.
func slow(spec *residencyv1.DataTransferSpec) {
	spec.Limits = residencyv1.TransferLimits{PeoplePerObject: 20, BytesPerSecond: 8192}
}

// tier asks for more people than leave without a filing.
func (s *story) tier(ctx context.Context) error {
	err := s.request(ctx, "leads-to-zurich-all", func(spec *residencyv1.DataTransferSpec) {
		spec.MaxPersons, spec.MechanismRef.Name = 100_000, ""
	})
	if err != nil {
		return err
	}
	t, err := s.transferDone(ctx, "leads-to-zurich-all")
	if err != nil {
		return err
	}
	s.report.check("leads-to-zurich-all, which would take the year to 100,000 people, without a mechanism", t.Status.Decision, "Refused")
	s.refusals(t, "MechanismMissing")
	s.report.check("mechanism that is asked for", t.Status.Mechanism, "Contract")
	got, err := s.delivery(ctx, t.Name)
	if err != nil {
		return err
	}
	s.report.check("of it that reached the bucket", len(got.sums), 0)
	return nil
}

// some waits until a transfer has written a few objects, and returns how many.
func (s *story) some(ctx context.Context, transfer string) (n int, err error) {
	err = s.until(ctx, "the middle of "+transfer, podTimeout, func(ctx context.Context) (bool, string, error) {
		n = 0
		err := s.withBucket(func(c *minio.Client) error {
			for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "cn/" + transfer + "/part-"}) {
				if o.Err != nil {
					return o.Err
				}
				n++
			}
			return nil
		})
		return n >= 3, fmt.Sprintf("%d objects", n), err
	})
	return n, err
}

// killed ends a transfer's process in the middle; another one goes on.
func (s *story) killed(ctx context.Context) error {
	const name = "leads-to-zurich-killed"
	before, err := s.counter(ctx)
	if err != nil {
		return err
	}
	if err := s.request(ctx, name, slow); err != nil {
		return err
	}
	n, err := s.some(ctx, name)
	if err != nil {
		return err
	}
	processes, err := sigkill("transfer")
	if err != nil {
		return err
	}
	t, err := s.transferDone(ctx, name)
	if err != nil {
		return err
	}
	got, err := s.delivery(ctx, name)
	if err != nil {
		return err
	}
	s.report.hold(fmt.Sprintf("a transfer is killed with SIGKILL after %d of %d objects", n, len(got.sums)), processes > 0 && n < len(got.sums), fmt.Sprintf("%d processes killed", processes))
	s.report.check("rows that arrived all the same", got.rows, s.expected.Transferable)
	s.report.check("different people among them, so nobody twice and nobody lost", len(got.ids), s.expected.Transferable)
	if err := s.audited(ctx, t, got); err != nil {
		return err
	}
	s.report.check("the manifest lists every object with its hash", strings.Join(got.listed, " "), strings.Join(got.sums, " "))
	s.report.check("people whom the year had not counted before", t.Status.PersonsCounted, subject.People(0))
	after, err := s.counter(ctx)
	if err != nil {
		return err
	}
	s.report.check("the policy's counter of the year", after, before)
	return nil
}

// stopped lets an authority's order arrive while records leave.
func (s *story) stopped(ctx context.Context) error {
	const name = "leads-to-zurich-stopped"
	if err := s.request(ctx, name, slow); err != nil {
		return err
	}
	if _, err := s.some(ctx, name); err != nil {
		return err
	}
	if err := s.apply(ctx, s.sample("70-hold.yaml")); err != nil {
		return err
	}
	ordered := time.Now()
	t := &residencyv1.DataTransfer{}
	err := s.until(ctx, name, storyTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, t)
		stalled, text := condition(t.Status.Conditions, "Stalled")
		return stalled == "True" || !t.Status.CompletionTime.IsZero(), text, err
	})
	if err != nil {
		return err
	}
	_, text := condition(t.Status.Conditions, "Stalled")
	s.report.hold("an authority's order psb-2026-118 stops a transfer in the middle: "+text, strings.Contains(text, "PublicSecurityHold"), "")
	got, err := s.delivery(ctx, name)
	if err != nil {
		return err
	}
	s.report.hold(fmt.Sprintf("%d of %d rows had left", got.rows, s.expected.Transferable), got.rows > 0 && got.rows < s.expected.Transferable, "")
	s.report.hold("the manifest says that it is partial, and lists what had left", got.partial && slices.Equal(got.listed, got.sums), fmt.Sprintf("%d objects, %d listed", len(got.sums), len(got.listed)))
	last, err := s.lastWritten(ctx, name)
	if err != nil {
		return err
	}
	s.report.hold("no object was written later than two seconds after the order", last.Before(ordered.Add(2*time.Second)), "")
	s.report.say("the last one %s after it", last.Sub(ordered).Round(time.Millisecond))
	return nil
}

// lastWritten is when the newest part of a transfer was written.
func (s *story) lastWritten(ctx context.Context, transfer string) (last time.Time, err error) {
	err = s.withBucket(func(c *minio.Client) error {
		for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "cn/" + transfer + "/part-"}) {
			if o.Err != nil {
				return o.Err
			}
			if o.LastModified.After(last) {
				last = o.LastModified
			}
		}
		return nil
	})
	return last, err
}

// weekly looks at the schedule that asks for the same records every Monday.
func (s *story) weekly(ctx context.Context) error {
	t := &residencyv1.TransferSchedule{}
	err := s.until(ctx, "the schedule", podTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "leads-to-zurich-weekly"}, t)
		ready, text := condition(t.Status.Conditions, "Ready")
		return ready == "True", text, err
	})
	if err != nil {
		return err
	}
	next := t.Status.NextScheduleTime.UTC()
	s.report.check("leads-to-zurich-weekly asks again, decided anew, on "+next.Format("2 January")+" at", next.Format("Monday 15:04 UTC"), "Monday 01:00 UTC")
	return nil
}
