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
	told, hidden, bad := 0, 0, []string{}
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(object, "cn/"+name+"/") || !strings.HasSuffix(object, ".csv") {
			continue
		}
		rows, err := csv.NewReader(bytes.NewReader(objects[object])).ReadAll()
		if err != nil || len(rows) == 0 {
			return fmt.Errorf("read %s: %w", object, err)
		}
		for _, r := range rows[1:] {
			text := r[len(r)-1]
			if text == "" {
				hidden++
				continue
			}
			told++
			if n, err := strconv.Atoi(text); err != nil || n < subject.Few || n%10 != 0 {
				bad = append(bad, strings.Join(r, ","))
			}
			s.report.say("%s %s", strings.TrimSuffix(path.Base(object), ".csv"), strings.Join(r, " "))
		}
	}
	s.report.hold(fmt.Sprintf("%d numbers arrived, each rounded to tens and about 20 people or more; %d are hidden", told, hidden), told > 0 && hidden > 0 && len(bad) == 0, strings.Join(bad, "; "))
	s.report.check("people whose records left with them", t.Status.Persons, "")
	return nil
}
