package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// copyStep is how far apart the numbers of two copies of an invoice are.
const copyStep = 1_000_000

var leadingNumber = regexp.MustCompile(`^[\s"]*(\d{1,12})`)

// multiply makes a file of n lines, the head not counted, out of the lines of another. The first round is the file as it
// is; each later one has its invoice numbers raised by a million. Lines that can't be read are repeated like the others.
func multiply(data []byte, n int) ([]byte, error) {
	records := splitRecords(data, len(columns))
	if len(records) < 2 {
		return nil, fmt.Errorf("there is nothing to multiply")
	}
	var out strings.Builder
	out.WriteString(records[0].text + "\n")
	body := records[1:]
	for i := range n {
		out.WriteString(raise(body[i%len(body)].text, int64(i/len(body))*copyStep) + "\n")
	}
	return []byte(out.String()), nil
}

// raise adds to the number that a record starts with.
func raise(text string, by int64) string {
	at := leadingNumber.FindStringSubmatchIndex(text)
	if at == nil || by == 0 {
		return text
	}
	number, _ := strconv.ParseInt(text[at[2]:at[3]], 10, 64) // at most twelve digits
	return text[:at[2]] + strconv.FormatInt(number+by, 10) + text[at[3]:]
}
