package bunstore

import "syscall"

// networkKinds are the file systems over a network, by the numbers of statfs(2).
var networkKinds = map[uint32]string{
	0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x517b: "SMB", 0x5346414f: "AFS", 0xc36400: "Ceph", 0x01021997: "9P",
}

func volumeOf(folder string) (volume, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return volume{}, err
	}
	return volume{known: true, free: int64(s.Bavail) * int64(s.Bsize), network: networkKinds[uint32(s.Type)]}, nil
}
