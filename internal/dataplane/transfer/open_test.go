package transfer

import "testing"

// TestOpenBucket_WritesToTheServer: the way out of another Job is the one of records.
func TestOpenBucket_WritesToTheServer(t *testing.T) {
	cfg := configured(t)
	cfg.Format, cfg.Fields = CSV, []string{"stage", "people"}
	e, err := EncodingOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, done, err := OpenBucket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	const name = "counts/LeadsByStage.csv"
	body, err := e.Encode(cfg.Fields, [][]byte{[]byte(`{"stage":"Lead","people":120}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), name, e.ContentType(), body); err != nil {
		t.Fatal(err)
	}
	if got := objects(t, cfg)[name]; got != "stage,people\nLead,120\n" {
		t.Errorf("the server has %q", got)
	}
	cfg.CredentialsDir = t.TempDir()
	if _, _, err := OpenBucket(cfg); err == nil {
		t.Error("opened without credentials")
	}
}
