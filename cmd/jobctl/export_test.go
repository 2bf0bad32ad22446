package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestJobsAreExportedPurgedAndImported(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		job := s.add("LATER", sendKind, later)
		ready := s.add("READY", sendKind)
		s.contains(s.run("export", "--with-secrets"), exitUsage, "needs --reason")
		plain := s.run("export")
		s.contains(plain, exitOK, `{"jobgen":"jobs","version":1,"secrets":false}`, `"[secret]"`)
		full := s.run("export", "--with-secrets", "--reason", "move", "--by", "ann")
		if full.code != exitOK || strings.Contains(full.out, "[secret]") || s.audited() != "export secrets * ann: move" {
			t.Fatalf("export with secrets: %+v, audit %s", full, s.audited())
		}
		files := map[string]string{"plain": plain.out, "full": full.out}
		for name, text := range files {
			files[name] = filepath.Join(t.TempDir(), name)
			s.must(os.WriteFile(files[name], []byte(text), 0o600))
		}
		by := func(command string, args ...string) result {
			return s.run(append([]string{command, "--by", "ann"}, args...)...)
		}
		s.contains(by("import", files["full"]), exitOK, "0 jobs stored, 2 known already, 0 refused\n")
		s.contains(by("purge", job.String()), exitFailed, "purge job LATER: it is scheduled")
		s.contains(by("cancel", job.String(), ready.String()), exitOK)
		s.want(by("purge", job.String(), ready.String()), exitOK, "job LATER is removed\njob READY is removed\n", "")
		s.contains(by("import", files["plain"]), exitFailed, "line 2, job READY: its secrets were left out", "0 jobs stored, 0 known already, 2 refused\n")
		s.want(by("import", "--json", files["full"]), exitOK, `{"known":0,"refused":0,"stored":2}`+"\n", "")
		if s.state(job) != jobrt.StateScheduled || s.state(ready) != jobrt.StateReady {
			t.Errorf("imported: %s and %s", s.state(job), s.state(ready))
		}
		s.contains(s.run("dead"), exitOK, "no such dead jobs")
	})
}
