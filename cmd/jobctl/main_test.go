package main

import (
	"os"
	"testing"

	"github.com/jobgen/jobgen/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
