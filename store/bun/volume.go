package bunstore

// volume is what is known of the file system that holds a folder.
type volume struct {
	known   bool
	free    int64  // bytes that are left for us
	network string // its kind, when it is one over a network; empty otherwise
}
