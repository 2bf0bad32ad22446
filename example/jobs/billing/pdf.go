package billing

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"github.com/jobgen/jobgen/example/jobs"
)

// PDF renders invoices as A4 pages. The same invoice gives the same bytes. It is safe for concurrent use.
type PDF struct {
	Seller Seller
}

const (
	fontName = "Go"
	margin   = 20.0                   // mm
	width    = 210.0 - 2*margin       // mm, of the text
	bottom   = 25.0                   // mm, where a page ends
	row      = 7.0                    // mm
	numbers  = 32.0                   // mm, of a column of numbers
	texts    = width - 2*numbers - 16 // mm, of the column of texts
)

// Render writes the invoice. It refuses text that its font can't show, because a name with holes is worse than none.
func (p PDF) Render(w io.Writer, a jobs.SendInvoice) error {
	if err := checkGlyphs(a); err != nil {
		return err
	}
	doc := fpdf.New("P", "mm", "A4", "")
	doc.AddUTF8FontFromBytes(fontName, "", goregular.TTF)
	doc.SetCreationDate(a.Issued)
	doc.SetModificationDate(a.Issued)
	doc.SetTitle(fmt.Sprintf("Invoice %d", a.InvoiceID), true)
	doc.SetAuthor(p.Seller.Name, true)
	doc.SetMargins(margin, margin, margin)
	doc.SetAutoPageBreak(true, bottom)
	doc.SetFooterFunc(func() { p.footer(doc, a) })
	doc.AddPage()

	p.letterhead(doc, a)
	p.items(doc, a)
	p.total(doc, a)

	if err := doc.Output(w); err != nil {
		return fmt.Errorf("pdf: %w", err)
	}
	return nil
}

func (p PDF) letterhead(doc *fpdf.Fpdf, a jobs.SendInvoice) {
	dark(doc, 16)
	doc.CellFormat(width, 9, p.Seller.Name, "", 1, "L", false, 0, "")
	grey(doc, 9)
	doc.CellFormat(width, 5, p.Seller.Address, "", 1, "L", false, 0, "")
	doc.Ln(18)

	dark(doc, 11)
	doc.MultiCell(width, 5.5, strings.Join(append([]string{a.Customer}, lines(a.Address)...), "\n"), "", "L", false)
	doc.Ln(16)

	dark(doc, 20)
	doc.CellFormat(width, 10, fmt.Sprintf("Invoice %d", a.InvoiceID), "", 1, "L", false, 0, "")
	grey(doc, 10)
	doc.CellFormat(width, 6, a.Issued.Format("2 January 2006"), "", 1, "L", false, 0, "")
	doc.Ln(10)
}

// items writes the table. Its head is repeated on every page.
func (p PDF) items(doc *fpdf.Fpdf, a jobs.SendInvoice) {
	head := func() {
		grey(doc, 9)
		doc.SetDrawColor(180, 180, 180)
		doc.CellFormat(16, row, "Qty", "B", 0, "L", false, 0, "")
		doc.CellFormat(texts, row, "Item", "B", 0, "L", false, 0, "")
		doc.CellFormat(numbers, row, "Price", "B", 0, "R", false, 0, "")
		doc.CellFormat(numbers, row, "Sum", "B", 1, "R", false, 0, "")
		dark(doc, 10)
	}
	head()
	for _, item := range a.Items {
		text := doc.SplitText(item.Text, texts-2)
		height := row * float64(len(text))
		if doc.GetY()+height > 297-bottom {
			doc.AddPage()
			head()
		}
		y := doc.GetY()
		doc.CellFormat(16, row, strconv.FormatInt(item.Quantity, 10), "", 0, "L", false, 0, "")
		doc.MultiCell(texts, row, strings.Join(text, "\n"), "", "L", false)
		doc.SetXY(margin+16+texts, y)
		doc.CellFormat(numbers, row, Amount(item.Price).String(), "", 0, "R", false, 0, "")
		doc.CellFormat(numbers, row, Amount(item.Sum()).String(), "", 1, "R", false, 0, "")
		doc.SetY(y + height)
	}
}

func (p PDF) total(doc *fpdf.Fpdf, a jobs.SendInvoice) {
	if doc.GetY()+30 > 297-bottom {
		doc.AddPage()
	}
	dark(doc, 12)
	doc.SetDrawColor(40, 40, 40)
	doc.CellFormat(width-2*numbers, row+3, "Total", "T", 0, "R", false, 0, "")
	doc.CellFormat(2*numbers, row+3, a.Currency+" "+Amount(a.Total).String(), "T", 1, "R", false, 0, "")
	doc.Ln(8)
	grey(doc, 10)
	doc.MultiCell(width, 5.5, fmt.Sprintf("Please pay within 14 days and name invoice %d. Thank you.", a.InvoiceID), "", "L", false)
}

func (p PDF) footer(doc *fpdf.Fpdf, a jobs.SendInvoice) {
	doc.SetY(-15)
	grey(doc, 8)
	doc.CellFormat(width/2, 5, fmt.Sprintf("Invoice %d", a.InvoiceID), "", 0, "L", false, 0, "")
	doc.CellFormat(width/2, 5, fmt.Sprintf("Page %d", doc.PageNo()), "", 0, "R", false, 0, "")
}

func dark(doc *fpdf.Fpdf, size float64) {
	doc.SetFont(fontName, "", size)
	doc.SetTextColor(30, 30, 30)
}

func grey(doc *fpdf.Fpdf, size float64) {
	doc.SetFont(fontName, "", size)
	doc.SetTextColor(120, 120, 120)
}

// lines splits an address at its commas and line breaks.
func lines(address string) []string {
	var out []string
	for line := range strings.FieldsFuncSeq(address, func(r rune) bool { return r == ',' || r == '\n' }) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

var font = mustParseFont()

func mustParseFont() *sfnt.Font {
	f, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		panic("billing: built-in font: " + err.Error())
	}
	return f
}

// checkGlyphs finds the first character that the font can't show.
func checkGlyphs(a jobs.SendInvoice) error {
	var buf sfnt.Buffer
	shown := func(what, text string) error {
		for _, r := range text {
			if r == '\n' {
				continue
			}
			if glyph, err := font.GlyphIndex(&buf, r); err != nil || glyph == 0 {
				return fmt.Errorf("%w: %s has %q (%U), which the font can't show", ErrBadInvoice, what, r, r)
			}
		}
		return nil
	}
	if err := shown("customer", a.Customer); err != nil {
		return err
	}
	if err := shown("address", a.Address); err != nil {
		return err
	}
	for i, item := range a.Items {
		if err := shown(fmt.Sprintf("item %d", i+1), item.Text); err != nil {
			return err
		}
	}
	return nil
}
