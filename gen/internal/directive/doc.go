// Package directive reads jobgen's annotation lines:
//
//	//job:queue=billing retry=3 tags=mail,invoice
//	//job:defaults timeout=1m
//	//jobqueue:billing owner=payments workers=5
//
// The grammar, where "key" is looked up in one closed table (Keys):
//
//	line       = "//job:" items | "//job:defaults" [ space items ] | "//jobqueue:" name [ space items ] .
//	items      = item { space item } .
//	item       = flag | pair | quoted .
//	flag       = key .
//	pair       = key "=" value { "," value } .          several values for list keys only
//	quoted     = string .                               the string holds a flag or a pair
//	key        = lower { lower | digit | "-" } .
//	value      = bare | string .
//	bare       = barechar { barechar } .                any rune but space  ,  =  "  and the back quote
//	string     = Go interpreted string literal | Go raw string literal on one line .
//
// A line that Go would not take for a directive (a space after the slashes or
// the colon, an upper-case key, a block comment) is a near miss: gofmt turns
// it into prose without a word, so NearMiss finds it.
//
// Positions are byte offsets into the comment's text, slashes included.
package directive
