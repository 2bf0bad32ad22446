package lock

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// job returns the lines of a job, in which @ stands for its name.
func jobLines(name string, facts ...string) string {
	text := "job @ 1\nqueue @ q\nretry @ 3\n"
	for _, f := range facts {
		if strings.HasPrefix(f, "job ") || strings.HasPrefix(f, "gone ") {
			text = strings.Replace(text, "job @ 1\n", f+"\n", 1)
		} else if strings.HasPrefix(f, "queue ") {
			text = strings.Replace(text, "queue @ q\n", f+"\n", 1)
		} else if strings.HasPrefix(f, "retry ") {
			text = strings.Replace(text, "retry @ 3\n", f+"\n", 1)
		} else {
			text += f + "\n"
		}
	}
	return strings.ReplaceAll(text, "@", name)
}

func lockOf(t *testing.T, jobs ...string) *Lock {
	t.Helper()
	return parse(t, "jobgen.lock 1\n"+strings.Join(jobs, ""))
}

// verdicts renders findings as "RULE verdict" each.
func verdicts(fs []Finding) string {
	var s []string
	for _, f := range fs {
		s = append(s, f.Rule+" "+string(f.Verdict))
	}
	return strings.Join(s, ", ")
}

// TestVerdictsOnFields has one case for each kind of change of a field.
func TestVerdictsOnFields(t *testing.T) {
	arg := func(lines ...string) string {
		var facts []string
		for _, l := range lines {
			facts = append(facts, "arg @ "+l)
		}
		return jobLines("s/a.B", facts...)
	}
	const broken, renamed, removed, null = "FIELD_SAME_KIND breaking", "FIELD_NO_RENAME breaking", "FIELD_NO_DELETE note", "FIELD_NULL note"
	for name, c := range map[string]struct{ old, now, want string }{
		"same":                             {arg(".x int"), arg(".x int"), ""},
		"field added":                      {arg(".x int"), arg(".x int", ".y string"), ""},
		"arguments added":                  {arg(), arg(".x int"), ""},
		"field removed":                    {arg(".x int", ".y string"), arg(".x int"), removed},
		"arguments removed":                {arg(".x int"), arg(), removed},
		"removed, and another kind added":  {arg(".x int", ".y string"), arg(".x int", ".z bool"), removed},
		"renamed":                          {arg(".x int", ".mail string"), arg(".x int", ".email string"), renamed},
		"renamed object":                   {arg(".a.x int", ".a.y string"), arg(".b.x int", ".b.y string"), renamed},
		"renamed, may be null now":         {arg(".mail string"), arg(".email string?"), renamed},
		"two renamed":                      {arg(".mail string", ".tel string"), arg(".email string", ".phone string"), renamed + ", " + renamed},
		"two removed, one added":           {arg(".mail string", ".tel string"), arg(".email string"), renamed + ", " + removed},
		"case of the name":                 {arg(".Mail string"), arg(".mail string"), renamed},
		"kind":                             {arg(".x int"), arg(".x string"), broken},
		"number to text":                   {arg(".x int64"), arg(".x text"), broken},
		"text to time":                     {arg(".x string"), arg(".x time"), broken},
		"integer to float":                 {arg(".x int32"), arg(".x float64"), broken},
		"bytes to string":                  {arg(".x bytes"), arg(".x string"), broken},
		"anything to raw":                  {arg(".x string"), arg(".x raw"), broken},
		"duration to integer":              {arg(".x duration"), arg(".x int64"), broken},
		"widened integer":                  {arg(".x int32"), arg(".x int64"), ""},
		"widened by one step":              {arg(".x int8"), arg(".x int16"), ""},
		"widened unsigned":                 {arg(".x uint8"), arg(".x uint64"), ""},
		"unsigned to wider signed":         {arg(".x uint32"), arg(".x int64"), ""},
		"widened float":                    {arg(".x float32"), arg(".x float64"), ""},
		"int and int64":                    {arg(".x int", ".y int64"), arg(".x int64", ".y int"), ""},
		"narrowed integer":                 {arg(".x int64"), arg(".x int32"), broken},
		"narrowed int":                     {arg(".x int"), arg(".x int32"), broken},
		"signed to unsigned":               {arg(".x int32"), arg(".x uint64"), broken},
		"unsigned to signed of one width":  {arg(".x uint64"), arg(".x int64"), broken},
		"narrowed float":                   {arg(".x float64"), arg(".x float32"), broken},
		"scalar to list":                   {arg(".x string"), arg(".x[] string"), broken},
		"list to scalar":                   {arg(".x[] string"), arg(".x string"), broken},
		"element of a list":                {arg(".x[] int64"), arg(".x[] string"), broken},
		"element widened":                  {arg(".x[] int32"), arg(".x[] int64"), ""},
		"field of an element":              {arg(".x[].y int64"), arg(".x[].y bool"), broken},
		"list to array":                    {arg(".x[] int"), arg(".x[4] int"), broken},
		"length of an array":               {arg(".x[4] int"), arg(".x[5] int"), broken},
		"scalar to object":                 {arg(".x string"), arg(".x.y string"), broken},
		"object to map":                    {arg(".x.y string"), arg(".x{string} string"), broken},
		"keys of a map":                    {arg(".x{string} int"), arg(".x{int} int"), broken},
		"keys of a map widened":            {arg(".x{int32} int"), arg(".x{int64} int"), ""},
		"values of a map":                  {arg(".x{string} int"), arg(".x{string} bool"), broken},
		"T to *T":                          {arg(".x int"), arg(".x int?"), ""},
		"*T to T":                          {arg(".x int?"), arg(".x int"), null},
		"struct to *struct":                {arg(".x.y int"), arg(".x struct?", ".x.y int"), ""},
		"*struct to struct":                {arg(".x struct?", ".x.y int"), arg(".x.y int"), null},
		"empty struct gets a field":        {arg(".x struct"), arg(".x.y int"), ""},
		"*T to T of another kind":          {arg(".x int?"), arg(".x string"), broken},
		"two faults in one":                {arg(".x int", ".y[] int"), arg(".x bool", ".y int"), broken + ", " + broken},
		"a removed field of a list's item": {arg(".x[].y int64", ".x[].z bool"), arg(".x[].y int64"), removed},
		"quoted names":                     {arg(`."a.b" int`), arg(`."a.b" string`), broken},
	} {
		fs := Compare(lockOf(t, c.old), lockOf(t, c.now))
		if got := verdicts(fs); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		for _, f := range fs {
			if Explain(f.Rule) == "" {
				t.Errorf("%s: %s is not explained", name, f.Rule)
			}
			if f.Message == "" || f.Rows == "" || f.Job != "s/a.B" || f.Verdict == Breaking && f.Fix == "" {
				t.Errorf("%s: incomplete finding %+v", name, f)
			}
		}
	}
}

// TestVerdictsOnJobs has one case for each other kind of change.
func TestVerdictsOnJobs(t *testing.T) {
	const x, y = "arg @ .x int64", "arg @ .y bool"
	one := func(facts ...string) string { return jobLines("s/a.One", facts...) }
	two := func(facts ...string) string { return jobLines("s/a.Two", facts...) }
	gone := func(facts ...string) string {
		text := jobLines("s/a.One", append([]string{"gone @ 1"}, facts...)...)
		return strings.ReplaceAll(strings.ReplaceAll(text, "queue s/a.One q\n", ""), "retry s/a.One 3\n", "")
	}
	for name, c := range map[string]struct{ old, now, want string }{
		"job added":                                {one(x), one(x) + two(y), ""},
		"job removed":                              {one(x), two(y), "JOB_NO_DELETE breaking"},
		"job renamed without alias":                {one(x), two(x), "JOB_NO_DELETE breaking"},
		"job renamed with alias":                   {one(x), two(x, "alias @ s/a.One"), ""},
		"renamed with alias, another shape":        {one(x), two("arg @ .x string", "alias @ s/a.One"), "FIELD_SAME_KIND breaking"},
		"job given up on purpose":                  {one(x), gone(x), "JOB_NO_DELETE note"},
		"job with alias removed":                   {one(x, "alias @ s/a.Old"), two(y), "JOB_NO_DELETE breaking"},
		"alias added":                              {one(x), one(x, "alias @ s/a.Old"), ""},
		"alias removed":                            {one(x, "alias @ s/a.Old"), one(x), "ALIAS_NO_DELETE breaking"},
		"alias given up on purpose":                {one(x, "alias @ s/a.Old"), one(x) + strings.ReplaceAll(gone(x), "s/a.One", "s/a.Old"), ""},
		"renamed back":                             {one(x, "alias @ s/a.Two"), two(x, "alias @ s/a.One"), ""},
		"alias goes to another job":                {one(x, "alias @ s/a.Old"), one(x) + two(y, "alias @ s/a.Old"), "FIELD_NO_DELETE note"},
		"gone stays gone":                          {gone(x), gone(x), ""},
		"gone is pruned":                           {gone(x), "", ""},
		"gone name back with the same shape":       {gone(x), one(x), ""},
		"gone name back with a field more":         {gone(x), one(x, y), ""},
		"gone name back with another shape":        {gone(x), one("arg @ .x string"), "JOB_NAME_RESERVED breaking"},
		"gone name as alias of another shape":      {gone(x), two("arg @ .x string", "alias @ s/a.One"), "JOB_NAME_RESERVED breaking"},
		"gone name back with a lower version":      {strings.Replace(gone(x), "One 1", "One 2", 1), one(x), "JOB_NAME_RESERVED breaking"},
		"queue":                                    {one(x), one(x, "queue @ r"), "QUEUE_CHANGED note"},
		"retry":                                    {one(x), one(x, "retry @ 9"), "RETRY_CHANGED note"},
		"then":                                     {one(x, "then @ s/a.Two"), one(x), "NEXT_CHANGED note"},
		"on-failure":                               {one(x), one(x, "on-failure @ s/a.Two"), "NEXT_CHANGED note"},
		"once added":                               {one(x), one(x, "once @ .x"), ""},
		"once removed":                             {one(x, "once @ .x"), one(x), "ONCE_SAME_KEY breaking"},
		"once by the same fields in another order": {one(x, y, "once @ .x,.y"), one(x, y, "once @ .y,.x"), "ONCE_SAME_KEY breaking"},
		"once, and renamed":                        {one(x, "once @ .x"), two(x, "once @ .x", "alias @ s/a.One"), "ONCE_SAME_KEY breaking"},
		"once by another field":                    {one(x, y, "once @ .x"), one(x, y, "once @ .y"), "ONCE_SAME_KEY breaking"},

		"result added":                              {one(), one("res @ .x int"), ""},
		"result gets a field":                       {one("res @ .x int"), one("res @ .x int", "res @ .y int"), ""},
		"result changes, nobody takes it":           {one("res @ .x int"), one("res @ .x string"), "RESULT_SAME_KIND note"},
		"result goes, nobody takes it":              {one("res @ .x int"), one(), "RESULT_SAME_KIND note"},
		"result loses a field nobody takes":         {one("res @ .x int", "res @ .y int"), one("res @ .x int"), ""},
		"result changes under a continuation":       {one("res @ .x int", "feeds @ s/a.Two"), one("res @ .x string", "feeds @ s/a.Two"), "RESULT_SAME_KIND breaking"},
		"result renamed under a continuation":       {one("res @ .x int", "feeds @ s/a.Two"), one("res @ .y int", "feeds @ s/a.Two"), "RESULT_SAME_KIND breaking"},
		"result goes from a continuation":           {one("res @ .x int", "feeds @ s/a.Two"), one(), "RESULT_SAME_KIND breaking"},
		"result widens under a continuation":        {one("res @ .x int32", "feeds @ s/a.Two"), one("res @ .x int64", "feeds @ s/a.Two"), ""},
		"result loses a field of a continuation":    {one("res @ .x int", "res @ .y bool", "feeds @ s/a.Two"), one("res @ .x int", "feeds @ s/a.Two"), "FIELD_NO_DELETE note"},
		"result changes, and was taken":             {one("res @ .x int", "feeds @ s/a.Two"), one("res @ .x string"), "RESULT_SAME_KIND breaking"},
		"result changes, and is taken from now on":  {one("res @ .x int"), one("res @ .x string", "feeds @ s/a.Two"), "RESULT_SAME_KIND breaking"},
		"same parents":                              {one("parent @ 0 value .x int"), one("parent @ 0 value .x int"), ""},
		"first parent":                              {one(), one("parent @ 0 value .x int"), "PARENTS_SAME breaking"},
		"parent removed":                            {one("parent @ 0 value .x int"), one(), "PARENTS_SAME breaking"},
		"second parent":                             {one("parent @ 0 value .x int"), one("parent @ 0 value .x int", "parent @ 1 value .x int"), "PARENTS_SAME breaking"},
		"outcome of none to one with a result":      {one("parent @ 0 outcome ."), one("parent @ 0 outcome .x int"), "PARENTS_SAME breaking"},
		"value to outcome":                          {one("parent @ 0 value .x int"), one("parent @ 0 outcome .x int"), "PARENTS_SAME breaking"},
		"one to several":                            {one("parent @ 0 value .x int"), one("parent @ 0 values .x int"), "PARENTS_SAME breaking"},
		"outcome to failure":                        {one("parent @ 0 outcome ."), one("parent @ 0 failure ."), "PARENTS_SAME breaking"},
		"parents change places":                     {one("parent @ 0 value .x int", "parent @ 1 value .y bool"), one("parent @ 0 value .y bool", "parent @ 1 value .x int"), "PARENTS_SAME breaking, PARENTS_SAME breaking"},
		"parents change places, of one name":        {one("parent @ 0 value .x int", "parent @ 1 value .x bool"), one("parent @ 0 value .x bool", "parent @ 1 value .x int"), "PARENTS_SAME breaking, PARENTS_SAME breaking"},
		"parent's field has another kind":           {one("parent @ 0 value .x int"), one("parent @ 0 value .x string"), "PARENTS_SAME breaking"},
		"parent's type has another field":           {one("parent @ 0 value .x int"), one("parent @ 0 value .x int", "parent @ 0 value .y int"), ""},
		"version lowered":                           {one(x, "job @ 2", "old @ 1 .y bool"), one(x), "VERSION_NO_LOWERING breaking"},
		"version raised, with upgrade":              {one(x), one(y, "job @ 2", "old @ 1 .x int64"), ""},
		"version raised, without upgrade":           {one(x), one(x, "job @ 2"), "VERSION_NO_UPGRADE breaking"},
		"version raised, upgrade of another shape":  {one(x), one(y, "job @ 2", "old @ 1 .x string"), "FIELD_SAME_KIND breaking"},
		"version raised, upgrade forgets a field":   {one(x, y), one(y, "job @ 2", "old @ 1 .x int64"), "FIELD_NO_DELETE note"},
		"version raised twice, both upgrades":       {one(y, "job @ 2", "old @ 1 .x int64"), one(x, "job @ 3", "old @ 1 .x int64", "old @ 2 .y bool"), ""},
		"version raised twice, the first dropped":   {one(y, "job @ 2", "old @ 1 .x int64"), one(x, "job @ 3", "old @ 2 .y bool"), "VERSION_NO_UPGRADE breaking"},
		"upgrade dropped":                           {one(y, "job @ 2", "old @ 1 .x int64"), one(y, "job @ 2"), "VERSION_NO_UPGRADE breaking"},
		"upgrade changed":                           {one(y, "job @ 2", "old @ 1 .x int64"), one(y, "job @ 2", "old @ 1 .x string"), "FIELD_SAME_KIND breaking"},
		"arguments changed in a version with older": {one(y, "job @ 2", "old @ 1 .x int64"), one("arg @ .y int", "job @ 2", "old @ 1 .x int64"), "FIELD_SAME_KIND breaking"},
		"version raised for a job without argument": {one(), one(x, "job @ 2", "old @ 1 ."), ""},
	} {
		fs := Compare(lockOf(t, c.old), lockOf(t, c.now))
		if got := verdicts(fs); got != c.want {
			t.Errorf("%s: got %q, want %q\n%+v", name, got, c.want, fs)
		}
		for _, f := range fs {
			if Explain(f.Rule) == "" {
				t.Errorf("%s: %s is not explained", name, f.Rule)
			}
			if f.Message == "" || f.Rows == "" || f.Job != "s/a.One" || f.Verdict == Breaking && f.Fix == "" {
				t.Errorf("%s: incomplete finding %+v", name, f)
			}
		}
	}
}

func TestRenamesAreGuessed(t *testing.T) {
	old := lockOf(t, jobLines("s/a.Send", "arg @ .x int64", "res @ .y int64"))
	same := []string{"arg @ .x int64", "res @ .y int64"}
	for name, c := range map[string]struct {
		now  *Lock
		want string
	}{
		"one of the shape":          {lockOf(t, jobLines("s/b.Post", same...), jobLines("s/b.Other", "arg @ .x int64")), "alias=a.Send on s/b.Post"},
		"none of the shape":         {lockOf(t, jobLines("s/b.Other", "arg @ .x int64")), ""},
		"two, one of the same end":  {lockOf(t, jobLines("s/b.Post", same...), jobLines("s/b.Send", same...)), "alias=a.Send on s/b.Send"},
		"two, none of the same end": {lockOf(t, jobLines("s/b.Post", same...), jobLines("s/b.Mail", same...)), ""},
		"another service":           {lockOf(t, jobLines("t/a.Send", same...)), "alias=s/a.Send on t/a.Send"},
	} {
		fs := Compare(old, c.now)
		if len(fs) != 1 || strings.Contains(fs[0].Message, "did you mean") != (c.want != "") || !strings.Contains(fs[0].Message, c.want) {
			t.Errorf("%s: %+v, want %q", name, fs, c.want)
		}
	}
	// A job that was there before is nobody's new name.
	other := jobLines("s/b.Post", same...)
	fs := Compare(lockOf(t, jobLines("s/a.Send", same...), other), lockOf(t, other))
	if len(fs) != 1 || strings.Contains(fs[0].Message, "did you mean") {
		t.Errorf("%+v", fs)
	}
}

func TestRemovedNamesStayReservedUntilPruned(t *testing.T) {
	before := lockOf(t, jobLines("s/a.One", "arg @ .x int64", "alias @ s/a.Zero"), jobLines("s/a.Two"))
	next := Next(before, lockOf(t, jobLines("s/a.Two")))
	want := `jobgen.lock 1
# Code generated by jobgen. DO NOT EDIT.
gone s/a.One 1
arg s/a.One .x int64
job s/a.Two 1
queue s/a.Two q
retry s/a.Two 3
gone s/a.Zero 1
arg s/a.Zero .x int64
`
	if diff := cmp.Diff(want, string(next.Bytes())); diff != "" {
		t.Fatal(diff)
	}
	// Still there when code is generated again, gone when pruned, and no longer
	// gone once a job has the name again.
	if got := string(Next(next, lockOf(t, jobLines("s/a.Two"))).Bytes()); got != want {
		t.Error(got)
	}
	if got := string(next.Prune().Bytes()); strings.Contains(got, "One") || !strings.Contains(got, "Two") {
		t.Error(got)
	}
	back := Next(next, lockOf(t, jobLines("s/a.Two", "alias @ s/a.Zero"), jobLines("s/a.One", "arg @ .x int64")))
	if back.HasGone() {
		t.Errorf("still gone:\n%s", back.Bytes())
	}
	// What the lock on the disk gave up counts for a comparison with an earlier
	// one, unless the code has it.
	if fs := Compare(before, WithGone(lockOf(t, jobLines("s/a.Two")), next)); verdicts(fs) != "JOB_NO_DELETE note" {
		t.Errorf("%+v", fs)
	}
	if l := WithGone(back, next); l.HasGone() {
		t.Errorf("gone and there:\n%s", l.Bytes())
	}
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("jobgen.lock 1\n")
	for j := range 500 {
		fmt.Fprintf(&text, "job s/a.J%d 1\nqueue s/a.J%d q\nretry s/a.J%d 1\n", j, j, j)
		for f := range 40 {
			fmt.Fprintf(&text, "arg s/a.J%d .field%d[].x string\n", j, f)
		}
	}
	data := []byte(text.String())
	for b.Loop() {
		if l, _ := Parse("f", data); l == nil {
			b.Fatal("refused")
		}
	}
}
