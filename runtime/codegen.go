package jobrt

// The range of generated code that this runtime understands. Generated files hold two constants that fail to compile
// outside of it, with the type names below as the message.
const (
	MinCodegen = 1
	MaxCodegen = 4
)

// GeneratedCodeIsTooOldRunGoGenerate is what the compiler names when generated code is older than MinCodegen.
type GeneratedCodeIsTooOldRunGoGenerate uint

// GeneratedCodeIsTooNewUpgradeJobgenModule is what the compiler names when generated code is newer than MaxCodegen.
type GeneratedCodeIsTooNewUpgradeJobgenModule uint

// NoneCodec writes None as an empty object and reads anything.
var NoneCodec = Codec[None]{
	Append: func(dst []byte, _ *None) ([]byte, error) { return append(dst, "{}"...), nil },
	Decode: func([]byte, *None) error { return nil },
	Schema: "0000000000000000",
}
