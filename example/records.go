package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// record is one entry of a CSV file: usually one line, more when a quoted field runs over line ends.
type record struct {
	line   int // of its first line, from 1
	text   string
	fields []string
	err    error // why it can't be read; then fields is nil
}

// maxJoined is how many lines one record may have.
const maxJoined = 10

// splitRecords cuts a file into its records. What can't be read becomes a record with an error, and reading goes on in
// the next line: encoding/csv alone would let a quote that nobody closed swallow the rest of the file. Empty lines are
// skipped.
func splitRecords(data []byte, want int) []record {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	lines := strings.Split(string(data), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	var records []record
	for i := 0; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		rec, used := readRecord(lines[i:], want)
		rec.line = i + 1
		records = append(records, rec)
		i += used - 1
	}
	return records
}

// readRecord reads the record that starts in the first of lines and says how many lines it took.
func readRecord(lines []string, want int) (rec record, used int) {
	text := lines[0]
	for used = 1; strings.Count(text, `"`)%2 == 1; used++ { // a quote is open
		if used == maxJoined || used == len(lines) {
			return record{text: lines[0], err: errors.New("a quote is never closed")}, 1
		}
		text += "\n" + lines[used]
	}
	fields, err := parseRecord(text, want)
	if err != nil && used > 1 { // the quote was a slip of the pen: it must not cost the lines below
		return record{text: lines[0], err: errors.New("a quote is never closed")}, 1
	}
	return record{text: text, fields: fields, err: err}, used
}

func parseRecord(text string, want int) ([]string, error) {
	switch {
	case !utf8.ValidString(text):
		return nil, errors.New("not UTF-8")
	case strings.ContainsRune(text, 0):
		return nil, errors.New("has a NUL byte")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	var syntax *csv.ParseError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("column %d: %w", syntax.Column, syntax.Err)
	case errors.Is(err, io.EOF):
		return nil, errors.New("empty")
	case err != nil:
		return nil, err
	case len(fields) != want:
		return nil, fmt.Errorf("%d fields, not %d", len(fields), want)
	}
	return fields, nil
}
