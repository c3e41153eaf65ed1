package store

import (
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"sigs.k8s.io/yaml"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// TestNotice_NothingIsLostOnTheWay fills every field that there is, so that one which is
// added to the message and forgotten here shows.
func TestNotice_NothingIsLostOnTheWay(t *testing.T) {
	n := &storev1.Notice{}
	fill(n.ProtoReflect())
	n.TextKept = false // said to the store only
	if got := noticeFor(noticeOf(n)); !proto.Equal(got, n) {
		t.Errorf("got  %v\nwant %v", got, n)
	}
	if noticeFor(noticeOf(nil)) != nil {
		t.Error("no notice became one")
	}
}

func fill(m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		text := protoreflect.ValueOfString("a " + f.TextName())
		switch {
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("zh-CN").MapKey(), text)
		case f.IsList() && f.Message() != nil:
			fill(m.Mutable(f).List().AppendMutable().Message())
		case f.IsList():
			m.Mutable(f).List().Append(text)
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(int64(f.Number())))
		case f.Kind() == protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(true))
		default:
			m.Set(f, text)
		}
	}
}

// TestNotice_HasTheHashThatTheManagerSends reads the manager's own message: both sides hash
// the same words, so that a store refuses only what was changed on the way.
func TestNotice_HasTheHashThatTheManagerSends(t *testing.T) {
	raw, err := os.ReadFile("../../gather/testdata/bundle.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = yaml.YAMLToJSON(raw); err != nil {
		t.Fatal(err)
	}
	var b storev1.Bundle
	if err := protojson.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	n := viewOf(&b).Notice
	if n.Hash == "" || n.Text().Hash() != n.Hash {
		t.Errorf("the store computes %s of what the manager names %s", n.Text().Hash(), n.Hash)
	}
	n.Recipients[0].Method["en"] += "!"
	if n.Text().Hash() == n.Hash {
		t.Error("another word has the same hash")
	}
}
