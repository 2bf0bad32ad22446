package model

// Kind says how a type is stored.
type Kind uint8

// The kinds. A named type has the kind of what it is made of: `type Cents
// int64` is Int64, and Type.Name says what to convert to.
const (
	Invalid Kind = iota
	Bool
	Int
	Int8
	Int16
	Int32
	Int64
	Uint
	Uint8
	Uint16
	Uint32
	Uint64
	Float32
	Float64
	String
	Bytes      // a slice of bytes: base64 text
	Time       // time.Time
	Duration   // time.Duration; a named type made of it is Int64
	RawMessage // json.RawMessage
	JSON       // has MarshalJSON and UnmarshalJSON
	Text       // has MarshalText and UnmarshalText, and not the JSON pair
	Slice      // Elem
	Array      // Len, Elem; [N]byte is an array of Uint8
	Map        // Key (String, an integer or Text), Elem
	Pointer    // Elem, which is never a Pointer; nil is null
	Struct     // Fields
)

var kindNames = [...]string{
	"invalid", "bool", "int", "int8", "int16", "int32", "int64",
	"uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
	"string", "bytes", "time", "duration", "raw", "json", "text",
	"slice", "array", "map", "pointer", "struct",
}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// Type describes how a Go type is stored and how to write it down. Types are
// finite trees: a recursive type can't be stored. One Go type is one *Type
// within a Module, so pointers may be compared.
type Type struct {
	Kind Kind
	ID   string // unique spelling with full import paths, such as "example.com/shop/jobs.Invoice" or "[]string"
	Name *Name  // for a named type that isn't predeclared and has no type arguments; else nil
	Go   Expr   // how to write the type in generated code, for every type

	Elem   *Type    // Slice, Array, Pointer, Map
	Key    *Type    // Map
	Len    int64    // Array
	Fields []*Field // Struct: what is stored, in encoding/json's order, promoted fields included

	// PointerMarshal says, for JSON and Text, that the marshalling method
	// needs an addressable value (it has a pointer receiver). The
	// unmarshalling method always has one, or works through a reference.
	PointerMarshal bool
	// Under is, for JSON and Text, the kind of the Go type below the methods,
	// which is what omitempty looks at: String for `type ID string`, Array for
	// a [16]byte. Of the number kinds any will do. Invalid counts as Struct.
	Under Kind
	// Comparable says that == works on values of the type.
	Comparable bool
	// HasIsZero says that the type, or a pointer to it when PointerIsZero is
	// set too, has a method IsZero() bool, which omitzero uses.
	HasIsZero, PointerIsZero bool

	// Shape lists all fields as declared, for a compile-time assertion that
	// the generated code still fits:
	//
	//	var _ struct { InvoiceID int64 `json:"invoice_id"` } = jobs.SendInvoice{}
	//
	// Assigning (not converting) makes the compiler compare tags too. It is
	// set for Kind Struct and nil when another package can't write the struct
	// down, which is so when it has unexported fields.
	Shape []ShapeField
}

// Field is one stored field of a struct.
type Field struct {
	Name      string   // Go name of the field itself
	Path      []string // selectors from the struct to the field: one name, or the embedded structs first; none of them is a pointer
	JSON      string   // name on the wire
	OmitEmpty bool
	OmitZero  bool
	Secret    bool // tagged job:"secret": shown redacted everywhere but to the handler
	Type      *Type
	Pos       Pos
}

// ShapeField is a field as the struct declares it.
type ShapeField struct {
	Name     string
	Embedded bool   // written as the type alone
	Tag      string // without quotes; "" when there is none
	Type     Expr
}

// Expr is Go source for a type: its tokens, concatenated. A token is literal
// text, such as "map[string]", or a name that needs its package's qualifier.
type Expr []Token

// Token is one piece of an Expr: Text if it isn't empty, else Name.
type Token struct {
	Text string
	Name Name
}

// String returns the expression with package names as qualifiers:
// map[string]jobs.Line.
func (e Expr) String() string {
	s := ""
	for _, t := range e {
		if t.Text != "" {
			s += t.Text
		} else {
			s += t.Name.String()
		}
	}
	return s
}
