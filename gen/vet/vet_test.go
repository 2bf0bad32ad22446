package vet

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

func TestAnalyzersFindTheMistakesAndNothingElse(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), Tx, "txs")
	analysistest.Run(t, analysistest.TestData(), Await, "awaits")
	analysistest.Run(t, analysistest.TestData(), Context, "contexts")
}
