package jobjson

// CloseObject ends an object that began at dst[start], each of whose fields was written with a comma in front: the
// first comma becomes the brace. It serves structs whose first field may be left out.
func CloseObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{'
	return append(dst, '}')
}
