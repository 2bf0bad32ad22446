package jobrt

import "testing"

func TestABuildFailsMoreOftenByEnoughAttemptsAlone(t *testing.T) {
	c := func(succeeded, failed int64) StatCounts { return StatCounts{Succeeded: succeeded, Failed: failed} }
	for _, tc := range []struct {
		name                  string
		now, before, before24 StatCounts
		want                  bool
	}{
		{"nothing", c(0, 0), c(0, 0), c(0, 0), false},
		{"everything fails, after a clean build", c(0, 20), c(100, 0), c(100, 0), true},
		{"too few attempts", c(0, 19), c(100, 0), c(100, 0), false},
		{"too few failures", c(90, 9), c(1000, 0), c(1000, 0), false},
		{"ten of two hundred are five times one percent", c(190, 10), c(1000, 0), c(1000, 0), true},
		{"ten of 210 are not", c(200, 10), c(1000, 0), c(1000, 0), false},
		{"five times as often", c(50, 50), c(90, 10), c(90, 10), true},
		{"four times as often", c(60, 40), c(90, 10), c(90, 10), false},
		{"an outage fails both", c(0, 100), c(0, 100), c(10_000, 1), false},
		{"the build before has had too little lately", c(0, 100), c(0, 19), c(1000, 1), true},
		{"the build before has never had enough", c(0, 100), c(5, 0), c(19, 0), false},
		{"dead jobs are failures", StatCounts{Dead: 20}, c(100, 0), c(100, 0), true},
		{"spared ones count for nothing", StatCounts{Spared: 100, Succeeded: 15, Failed: 9}, c(100, 0), c(100, 0), false},
	} {
		if got := FailsMoreOften(tc.now, tc.before, tc.before24); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestRetriesStretchByHowFarABudgetIsExceeded(t *testing.T) {
	for _, tc := range []struct {
		succeeded, failed int64
		budget, want      float64
	}{
		{100, 0, 0.05, 1},
		{95, 5, 0.05, 1},
		{94, 6, 0.05, 2},
		{80, 20, 0.05, 4},
		{0, 100, 0.05, 8},
		{0, 19, 0.05, 1},
		{0, 100, 0, 1},
		{0, 0, 0.05, 1},
		{0, 100, 1, 1},
	} {
		if got := Stretch(StatCounts{Succeeded: tc.succeeded, Failed: tc.failed}, tc.budget); got != tc.want {
			t.Errorf("%d of %d failed with a budget of %v: stretched %v times, want %v", tc.failed, tc.succeeded+tc.failed, tc.budget, got, tc.want)
		}
	}
	for value, want := range map[string]float64{"5%": 0.05, "0.5%": 0.005, "100%": 1, "": 0, "much": 0, "-5%": 0} {
		q := QueueInfo{Settings: []Setting{{Key: "owner", Value: "ann"}, {Key: SettingFailBudget, Value: value}}}
		if got := q.FailBudget(); got != want {
			t.Errorf("budget %q is %v, want %v", value, got, want)
		}
	}
	if got := (QueueInfo{}).FailBudget(); got != 0 {
		t.Errorf("a queue without a budget has %v", got)
	}
}
