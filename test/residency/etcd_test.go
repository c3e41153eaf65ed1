package residency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// etcd asks the database of the rig through its JSON gateway: no client of it is a dependency
// of this module.
type etcd struct{ url string }

// size is what the database holds.
type size struct {
	revision int64
	bytes    int64 // of all live pages, after compaction and defragmentation
}

// written is what was put into the database since a revision, every version of it.
type written struct {
	findings int64 // bytes of the policy and of events
	status   int   // versions of the policy
	events   int   // versions of events
	rest     int64 // bytes of everything else: guard, leases, and what the benchmark itself wrote
}

// compact forgets old versions, returns free pages, and tells what is left.
func (e etcd) compact(ctx context.Context) (size, error) {
	s, err := e.status(ctx)
	if err != nil {
		return s, err
	}
	if err := e.ask(ctx, "kv/compaction", map[string]any{"revision": s.revision, "physical": true}, nil); err != nil {
		return s, err
	}
	if err := e.ask(ctx, "maintenance/defragment", map[string]any{}, nil); err != nil {
		return s, err
	}
	return e.status(ctx)
}

func (e etcd) status(ctx context.Context) (size, error) {
	var answer struct {
		Header struct {
			Revision int64 `json:"revision,string"`
		} `json:"header"`
		InUse int64 `json:"dbSizeInUse,string"`
	}
	err := e.ask(ctx, "maintenance/status", map[string]any{}, func(r io.Reader) error { return json.NewDecoder(r).Decode(&answer) })
	return size{answer.Header.Revision, answer.InUse}, err
}

// since reads again everything that was written after a revision, until now.
func (e etcd) since(ctx context.Context, from int64) (w written, err error) {
	now, err := e.status(ctx)
	if err != nil || now.revision == from {
		return w, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watch
	everything := []byte{0}
	request := map[string]any{"create_request": map[string]any{"key": everything, "range_end": everything, "start_revision": from + 1}}
	return w, e.ask(ctx, "watch", request, func(r io.Reader) error {
		for stream := json.NewDecoder(r); ; {
			var m watched
			if err := stream.Decode(&m); err != nil {
				return err
			}
			if m.Result.Canceled {
				return fmt.Errorf("the watch was cancelled: %s", m.Result.Reason)
			}
			for _, x := range m.Result.Events {
				w.add(x)
				if x.KV.Revision >= now.revision {
					return nil
				}
			}
		}
	})
}

// watched is one message of a watch.
type watched struct {
	Result struct {
		Canceled bool    `json:"canceled"`
		Reason   string  `json:"cancel_reason"`
		Events   []write `json:"events"`
	} `json:"result"`
}

// write is one version of one key.
type write struct {
	KV struct {
		Key      []byte `json:"key"`
		Value    []byte `json:"value"`
		Revision int64  `json:"mod_revision,string"`
	} `json:"kv"`
}

func (w *written) add(x write) {
	n := int64(len(x.KV.Key) + len(x.KV.Value))
	switch key := string(x.KV.Key); {
	case strings.HasPrefix(key, "/registry/residency.maodian.dev/residencypolicies/"):
		w.status++
		w.findings += n
	case strings.HasPrefix(key, "/registry/events/"):
		w.events++
		w.findings += n
	default:
		w.rest += n
	}
}

// ask sends one request; read, where it is not nil, reads the answer.
func (e etcd) ask(ctx context.Context, path string, request any, read func(io.Reader) error) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/v3/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("etcd: %s: %s: %s", path, res.Status, text)
	}
	if read == nil {
		read = func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	}
	if err := read(res.Body); err != nil {
		return fmt.Errorf("etcd: %s: %w", path, err)
	}
	return nil
}
