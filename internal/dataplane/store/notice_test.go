package store

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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
