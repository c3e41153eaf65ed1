package callback

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of a parsed message. The richest real one (a mass result with articles)
// has a depth of 5 and a few hundred tokens.
const (
	maxDepth = 12
	maxNodes = 1 << 14
)

// ErrMalformed says that a message is not one the platform would send. It never
// repeats any of it.
var ErrMalformed = errors.New("callback message malformed")

// node is an element of a message, whichever notation it came in. JSON arrays
// become repeated nodes, as XML writes lists.
type node struct {
	name  string
	value []byte
	kids  []*node
}

// child returns the first child with the name, or an empty node.
func (n *node) child(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return &node{}
}

func (n *node) has(name string) bool { return n.child(name).name != "" }

func (n *node) text(name string) string { return strings.TrimSpace(string(n.child(name).value)) }

// number reads an integer that may have been written as a string. What is no
// integer counts as absent.
func (n *node) number(name string) int64 {
	v, err := strconv.ParseInt(n.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// parseTree reads XML or JSON, told apart by the first byte.
func parseTree(b []byte) (*node, error) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if len(b) == 0 || len(b) > MaxBody {
		return nil, ErrMalformed
	}
	if b[0] == '{' {
		return parseJSON(b)
	}
	return parseXML(b)
}

// xmlReader builds a tree; the last of open is the element being read.
type xmlReader struct {
	open   []*node
	tokens int
}

// parseXML builds the tree of one element. Document types, and with them entities,
// are refused; so is anything after the element.
func parseXML(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	top := &node{}
	r := xmlReader{open: []*node{top}}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: xml", ErrMalformed)
		}
		if err := r.add(token); err != nil {
			return nil, err
		}
	}
	if len(r.open) != 1 || len(top.kids) != 1 || len(bytes.TrimSpace(top.value)) != 0 {
		return nil, fmt.Errorf("%w: xml", ErrMalformed)
	}
	return top.kids[0], nil
}

// add puts one token in its place. Comments count as well: this runs before any
// signature is checked.
func (r *xmlReader) add(token xml.Token) error {
	if r.tokens++; r.tokens > maxNodes || len(r.open) > maxDepth {
		return fmt.Errorf("%w: too deep or too long", ErrMalformed)
	}
	last := r.open[len(r.open)-1]
	switch t := token.(type) {
	case xml.StartElement:
		n := &node{name: t.Name.Local}
		last.kids = append(last.kids, n)
		r.open = append(r.open, n)
	case xml.EndElement:
		if len(r.open) == 1 || last.name != t.Name.Local {
			return fmt.Errorf("%w: xml nesting", ErrMalformed)
		}
		r.open = r.open[:len(r.open)-1]
	case xml.CharData:
		last.value = append(last.value, t...)
	case xml.Directive:
		return fmt.Errorf("%w: document type", ErrMalformed)
	}
	return nil
}

// jsonReader walks JSON tokens with the same bounds as the XML reader.
type jsonReader struct {
	d     *json.Decoder
	nodes int
}

func parseJSON(b []byte) (*node, error) {
	r := jsonReader{d: json.NewDecoder(bytes.NewReader(b))}
	r.d.UseNumber()
	top := &node{}
	if err := r.value(top, "root", 0); err != nil {
		return nil, err
	}
	if _, err := r.d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: json", ErrMalformed)
	}
	return top.kids[0], nil
}

// value appends the next JSON value to parent under name.
func (r *jsonReader) value(parent *node, name string, depth int) error {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return fmt.Errorf("%w: too deep or too long", ErrMalformed)
	}
	token, err := r.d.Token()
	if err != nil {
		return fmt.Errorf("%w: json", ErrMalformed)
	}
	if token == json.Delim('[') {
		for r.d.More() {
			if err := r.value(parent, name, depth+1); err != nil {
				return err
			}
		}
		return r.end()
	}
	n := &node{name: name}
	parent.kids = append(parent.kids, n)
	switch t := token.(type) {
	case json.Delim:
		return r.object(n, depth)
	case string:
		n.value = []byte(t)
	case json.Number:
		n.value = []byte(t.String())
	case bool:
		n.value = strconv.AppendBool(nil, t)
	}
	return nil
}

func (r *jsonReader) object(n *node, depth int) error {
	for r.d.More() {
		key, err := r.d.Token()
		if err != nil {
			return fmt.Errorf("%w: json", ErrMalformed)
		}
		name, ok := key.(string)
		if !ok {
			return fmt.Errorf("%w: json", ErrMalformed)
		}
		// The platform's own samples have keys with a leading blank.
		if err := r.value(n, strings.TrimSpace(name), depth+1); err != nil {
			return err
		}
	}
	return r.end()
}

func (r *jsonReader) end() error {
	if _, err := r.d.Token(); err != nil {
		return fmt.Errorf("%w: json", ErrMalformed)
	}
	return nil
}
