package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// counted is what a table's numbers are like.
type counted struct {
	told, hidden int
	bad          []string // about few people, or not rounded
}

func (c *counted) take(number string) {
	if number == "" {
		c.hidden++
		return
	}
	c.told++
	if n, err := strconv.Atoi(number); err != nil || n < subject.Few || n%10 != 0 {
		c.bad = append(c.bad, number)
	}
}

// counts lets numbers leave, which is what head office mostly needs.
func (s *story) counts(ctx context.Context) error {
	if err := s.apply(ctx, s.sample("63-aggregates.yaml")); err != nil {
		return err
	}
	const name = "lead-counts-2026-11"
	t, err := s.transferDone(ctx, name)
	if err != nil {
		return err
	}
	s.report.check(name+", numbers instead of records, with neither consent nor mechanism", t.Status.Decision, "Allowed")
	s.report.check("the ground on which none is needed", t.Status.Ground, "NoPersonalInformation")
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	var c counted
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(object, "cn/"+name+"/") || !strings.HasSuffix(object, ".csv") {
			continue
		}
		rows, err := csv.NewReader(bytes.NewReader(objects[object])).ReadAll()
		if err != nil || len(rows) == 0 {
			return fmt.Errorf("read %s: %w", object, err)
		}
		for _, r := range rows[1:] {
			s.report.say("%s %s", strings.TrimSuffix(path.Base(object), ".csv"), strings.Join(r, " "))
			c.take(r[len(r)-1])
		}
	}
	s.report.hold(fmt.Sprintf("%d numbers arrived, each rounded to tens and about 20 people or more; %d are hidden", c.told, c.hidden), c.told > 0 && c.hidden > 0 && c.bad == nil, strings.Join(c.bad, "; "))
	s.report.check("people whose records left with them", t.Status.Persons, "")
	return nil
}
