package billing

import (
	"fmt"
	"strconv"
)

// Amount is money in hundredths of its currency. It prints as 1,234.50.
type Amount int64

// String returns the amount with two decimals and a comma between thousands.
func (a Amount) String() string {
	sign, abs := "", uint64(a)
	if a < 0 {
		sign, abs = "-", -abs
	}
	whole := strconv.FormatUint(abs/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s%s.%02d", sign, whole, abs%100)
}
