package diag

import "strings"

// explanation says why a code exists, with a wrong and a right example.
type explanation struct {
	code, title, why, wrong, right string
}

// explanations is the closed table of codes, in order.
var explanations = []explanation{
	{"JG001", "a comment that was meant as an annotation",
		"Go takes a line for a directive only when // is followed at once by job:, and job: at once by a lower-case letter. Anything else is prose: gofmt re-flows it, go doc prints it, and the settings in it are lost.",
		"// job: queue=billing\nfunc SendInvoice(…",
		"//job:queue=billing\nfunc SendInvoice(…"},
	{"JG002", "an annotation that stands at nothing",
		"//job: counts in the comment directly above a function or method. A blank line in between detaches it. //job:defaults belongs in the package comment or beside the //go:generate line, //jobqueue: in the package comment or alone between declarations.",
		"//job:queue=billing\n\nfunc SendInvoice(…",
		"//job:queue=billing\nfunc SendInvoice(…"},
	{"JG003", "an unknown setting",
		"Settings come from a closed list, so a typo can't turn one off unnoticed. jobgen explain SETTING describes each.",
		"//job:qeue=billing",
		"//job:queue=billing"},
	{"JG004", "a setting that stands twice",
		"Several //job: lines at one function are read as one. Which of two values was meant is not jobgen's to guess.",
		"//job:queue=billing\n//job:queue=mail",
		"//job:queue=billing"},
	{"JG005", "a value that the setting does not take",
		"Values are checked when code is generated, because a bad time zone or a duration without a unit would otherwise show at night.",
		"//job:timeout=30",
		"//job:timeout=30s"},
	{"JG006", "an annotation line that can't be read",
		"A line is key=value items with spaces between. Values with spaces, commas, = or quotes stand in quotes. A line takes no comment at its end.",
		"//job:queue=billing,retry=3",
		"//job:queue=billing retry=3"},
	{"JG007", "settings that contradict or need each other",
		"A setting that has no effect, or that cancels another, is most likely a mistake.",
		"//job:unique-for=24h",
		"//job:unique unique-for=24h"},
	{"JG008", "an unknown queue",
		"As soon as one queue is declared with //jobqueue:, jobs may name declared queues only: a typo in a queue's name would make a queue that nobody serves. The queue \"default\" needs no declaration.",
		"//jobqueue:billing workers=5\n\n//job:queue=biling",
		"//jobqueue:billing workers=5\n\n//job:queue=billing"},
	{"JG009", "a declaration that can't be read",
		"jobgen reads the signatures of annotated functions and the types they mention, and nothing else: function bodies and generated files may be broken. What it does read must be Go. A type from a package that can't be found may be missing from go.mod.",
		"//job:handler\nfunc SendInvoice(ctx context.Context, a jobs.SendInvoce) error",
		"//job:handler\nfunc SendInvoice(ctx context.Context, a jobs.SendInvoice) error"},
	{"JG010", "a signature that no job has",
		"A job is func(context.Context[, Args][, parents…]) ([Result, ]error). Args and Result are exported named structs, passed by value, so that fields can be added while old jobs wait in the table. Parents are the results of jobs that run before.",
		"func SendInvoice(ctx context.Context, id int64, email string) error",
		"type SendInvoiceArgs struct {\n\tID    int64\n\tEmail string\n}\n\nfunc SendInvoice(ctx context.Context, a SendInvoiceArgs) error"},
	{"JG011", "a generic job",
		"A stored job has one argument type. Which one a generic function would get can't be told from a row.",
		"//job:handler\nfunc Import[T any](ctx context.Context, a Batch[T]) error",
		"//job:handler\nfunc ImportUsers(ctx context.Context, a UserBatch) error { return importAll(ctx, a.Users) }"},
	{"JG012", "a job that the registry can't call",
		"The generated registry lives in a package of its own and calls jobs by name: they must be exported, outside package main, and in a package that Go lets it import.",
		"//job:handler\nfunc sendInvoice(ctx context.Context) error",
		"//job:handler\nfunc SendInvoice(ctx context.Context) error"},
	{"JG013", "a receiver that the registry can't hold",
		"A method's receiver becomes a field of the generated worker.Deps, so its type must be exported and have a name.",
		"//job:handler\nfunc (s *service) SendInvoice(ctx context.Context) error",
		"//job:handler\nfunc (s *Service) SendInvoice(ctx context.Context) error"},
	{"JG014", "a job that is not in every build",
		"The registry names every job. If one is in a file with a build constraint, or with a GOOS or GOARCH in its name, the registry does not compile elsewhere.",
		"//go:build linux\n\npackage billing\n\n//job:handler\nfunc SendInvoice(…",
		"package billing\n\n//job:handler\nfunc SendInvoice(… // calls sendInvoice, which is in a constrained file"},
	{"JG015", "an annotation in a test file",
		"Test files are no part of the package that the registry imports. jobgen ignores their annotations and lists the files under -v.",
		"billing_test.go: //job:handler",
		"billing.go: //job:handler"},
	{"JG017", "a scheduled job with arguments or parents",
		"A job that the clock starts has nobody who could pass arguments, or jobs to wait for. Schedules with arguments come from data: the generated function Schedule and the job's name makes one, with its own arguments, at run time.",
		"//job:cron=\"0 2 1 * *\"\nfunc CloseMonth(ctx context.Context, a Month) error",
		"//job:cron=\"0 2 1 * *\"\nfunc CloseMonth(ctx context.Context) error"},
	{"JG018", "two schedules with one name",
		"The schedules of a function are told apart by name=, in the database and by operators. One without a name, like that of cron= or every= in a //job: line, is called default.",
		"//job:schedule cron=\"0 2 * * *\"\n//job:schedule cron=\"0 14 * * SAT\"\nfunc CloseDay(ctx context.Context) error",
		"//job:schedule name=night cron=\"0 2 * * *\"\n//job:schedule name=weekend cron=\"0 14 * * SAT\"\nfunc CloseDay(ctx context.Context) error"},
	{"JG019", "a loop with arguments, parents or a result",
		"every= with singleton makes a loop: it has no rows in the job table, so there are no arguments to give it, no jobs to wait for, and nobody who could read its result.",
		"//job:every=10s singleton\nfunc Poll(ctx context.Context) (Stats, error)",
		"//job:every=10s singleton\nfunc Poll(ctx context.Context) error"},
	{"JG020", "two jobs with one stored name",
		"A row names its job. Two functions called billing.SendInvoice, in packages of one name, would run each other's rows.",
		"a/billing.SendInvoice and b/billing.SendInvoice",
		"//job:name=billing2.SendInvoice"},
	{"JG021", "two jobs with one generated name",
		"All stubs share a package, so SendInvoice in billing and in mail would both become EnqueueSendInvoice.",
		"//job:handler\nfunc Send(… // in billing and in mail",
		"//job:stub=MailSend\nfunc Send(… // in mail"},
	{"JG022", "a queue that is declared twice",
		"A queue has one owner and one set of limits.",
		"//jobqueue:billing workers=5\n//jobqueue:billing workers=10",
		"//jobqueue:billing workers=10"},
	{"JG023", "two receivers with one field in worker.Deps",
		"worker.Deps has a field per receiver type, called package + type: billing.Service is BillingService. Two packages of one name with a type of one name clash.",
		"a/billing.Service and b/billing.Service",
		"a/billing.Service and b/billing.Refunds"},
	{"JG030", "argument types in a package that imports the generated code",
		"The generated client imports the packages of argument and result types. If one of them, because it holds handlers too, imports the generated client, Go refuses the cycle. Types in a package without handlers can't be part of one.",
		"package billing\n\nimport \"example.com/shop/gen\"\n\ntype SendInvoice struct{ … }\n\n//job:handler\nfunc Send(ctx context.Context, a SendInvoice) error { gen.EnqueueArchive(…) }",
		"package jobs // leaf\n\ntype SendInvoice struct{ … }\n\npackage billing\n\n//job:handler\nfunc Send(ctx context.Context, a jobs.SendInvoice) error { gen.EnqueueArchive(…) }"},
	{"JG040", "a type that can't be stored",
		"Arguments and results become JSON in a table and are read by another process, maybe after a deploy. Channels, functions, interfaces, unexported fields and recursive types do not survive that. A type with MarshalJSON and UnmarshalJSON, or MarshalText and UnmarshalText, always does.",
		"type SendInvoice struct {\n\tDone chan bool\n}",
		"type SendInvoice struct {\n\tInvoiceID int64\n}"},
	{"JG041", "a type and a function of one name",
		"A package can't declare SendInvoice twice. Either the type goes to a package of its own, or it gets another name.",
		"type SendInvoice struct{ … }\n\nfunc SendInvoice(…",
		"type SendInvoiceArgs struct{ … }\n\nfunc SendInvoice(…"},
	{"JG042", "an unknown job tag",
		"The only thing a job:\"…\" struct tag can say is \"secret\". A typo there would show a secret in logs and dashboards.",
		"Email string `job:\"secrt\"`",
		"Email string `job:\"secret\"`"},
	{"JG043", "a json tag that does not do what it says",
		"encoding/json ignores options and names that it does not know. jobgen supports a name, omitempty and omitzero.",
		"ID int64 `json:\"id,omitEmpty\"`",
		"ID int64 `json:\"id,omitempty\"`"},
	{"JG050", "a field that the arguments don't have",
		"unique=, once=, serial= and the keys of limits name Go fields of the argument struct, such as InvoiceID or Customer.ID. Floats make no good keys, and the fields of unique= and once= must be stored: the key may be made from a row.",
		"//job:unique=invoice_id",
		"//job:unique=InvoiceID"},
	{"JG051", "permanent= names no error",
		"permanent= takes exported package-level error variables, which are matched with errors.Is, and error types, which are matched with errors.As.",
		"//job:permanent=BadAddress // a function",
		"//job:permanent=ErrBadAddress // var ErrBadAddress = errors.New(…)"},
	{"JG052", "a setting that names no function",
		"verify= names a function of the package, or a method of the job's receiver. then= and on-failure= name jobs: of the package, of the receiver, as Type.Method, or as package.Func and package.Type.Method in other packages of the module.",
		"//job:once=InvoiceID verify=WasSnet",
		"//job:once=InvoiceID verify=WasSent"},
	{"JG070", "a parent that no job returns",
		"A parameter after the arguments stands for a job that runs before and returns that type. When no job does, the function could never be enqueued. The first struct is always the arguments; jobrt.None stands for none.",
		"//job:handler\nfunc SendInvoice(ctx context.Context, a Invoice) (Receipt, error)\n\n//job:handler\nfunc Archive(ctx context.Context, a Bucket, sent Reciept) error",
		"//job:handler\nfunc Archive(ctx context.Context, a Bucket, sent Receipt) error"},
	{"JG071", "parents that don't go together",
		"A job takes at most one slice of parents, because two would leave open which handles belong to which. jobrt.Failure stands alone: a job that runs after a failure is skipped when there is none.",
		"func Report(ctx context.Context, a Month, sent []Receipt, paid []Payment) error",
		"func Report(ctx context.Context, a Month, sent []Receipt, paid Payments) error"},
	{"JG072", "a parameter that stands for no job",
		"A parent is P, []P, jobrt.Outcome[P] or []jobrt.Outcome[P], where P is a named struct that a job returns, or jobrt.Failure. To wait for a job without taking anything from it, leave the parameter out and enqueue with jobrt.After.",
		"func Archive(ctx context.Context, a Bucket, messageID string) error",
		"func Archive(ctx context.Context, a Bucket, sent Receipt) error"},
	{"JG073", "a continuation that is no job",
		"then= and on-failure= name annotated functions, each once. A function without an annotation is stored nowhere and can't follow.",
		"//job:then=Archive\nfunc SendInvoice(…\n\nfunc Archive(ctx context.Context, sent Receipt) error",
		"//job:then=Archive\nfunc SendInvoice(…\n\n//job:handler\nfunc Archive(ctx context.Context, sent Receipt) error"},
	{"JG074", "a continuation that doesn't fit",
		"What follows a job by annotation is stored with it, so it can take only what is known then or becomes known by the job's end: after a success the result, as the arguments or as the only parent, and the job's own arguments; after a failure jobrt.Failure, as the only parent, and the job's own arguments.",
		"//job:then=Archive\nfunc SendInvoice(ctx context.Context, a Invoice) (Receipt, error)\n\n//job:handler\nfunc Archive(ctx context.Context, a Bucket, sent Receipt) error",
		"//job:handler\nfunc Archive(ctx context.Context, a Invoice, sent Receipt) error"},
	{"JG075", "continuations in a circle",
		"All that follows a job by annotation is stored with it, so a circle would have no end. A job that starts over enqueues itself in its handler.",
		"//job:then=B\nfunc A(ctx context.Context) error\n\n//job:then=A\nfunc B(ctx context.Context) error",
		"//job:then=B\nfunc A(ctx context.Context) error\n\n//job:handler\nfunc B(ctx context.Context) error"},
	{"JG076", "a secret in a key",
		"The key of once= is shown to operators and kept long after the arguments are gone, that of unique= outlives the job, and those of limits are shown too. A field tagged job:\"secret\" has no place there.",
		"//job:once=CardNumber",
		"//job:once=PaymentID"},
	{"JG077", "a verify= function of another type",
		"verify= asks whether interrupted work was done. It takes what the job takes, and tells the result that the job would have returned, whether the work was done, and an error when that can't be found out.",
		"//job:once=ID verify=WasSent\nfunc Send(ctx context.Context, a Invoice) (Receipt, error)\n\nfunc WasSent(ctx context.Context, id int64) (bool, error)",
		"func WasSent(ctx context.Context, a Invoice) (Receipt, bool, error)"},
	{"JG078", "an earlier version that nothing reads",
		"version=2 says that the arguments mean something else than before. Jobs of version 1 may wait in the table, so a function turns them into today's: Upgrade and the name of the type, from that name with V1. It stands beside the type or beside the handler. With more versions each function's name says which one it reads, and returns today's type or the next version.",
		"//job:version=2\nfunc Send(ctx context.Context, a Invoice) error",
		"type InvoiceV1 struct{ Cents int64 } // as it was\n\nfunc UpgradeInvoice(old InvoiceV1) Invoice { return Invoice{Amount: Money(old.Cents)} }"},
	{"JG079", "an upgrade that can't be used",
		"An upgrade takes the old arguments alone and returns the new ones, or those and an error. There is one for each version.",
		"func UpgradeInvoice(ctx context.Context, old *InvoiceV1) error",
		"func UpgradeInvoice(old InvoiceV1) (Invoice, error)"},
	{"JG080", "an upgrade that no job uses",
		"A function that reads version 1 means that there is a version 2. Without version=2 at the job, old rows would be read as the new type.",
		"//job:handler\nfunc Send(ctx context.Context, a Invoice) error\n\nfunc UpgradeInvoice(old InvoiceV1) Invoice",
		"//job:version=2\nfunc Send(ctx context.Context, a Invoice) error"},
	{"JG085", "a merge conflict in jobs.lock",
		"The lock says what rows in the database look like; a conflict in it means that two branches changed the same fact or the same place. Lines may stand in any order and twice, so keeping both sides is right unless two lines exclude each other, which is reported as JG088.",
		"<<<<<<< ours\narg shop/billing.Send .email string\n=======\narg shop/billing.Send .phone string\n>>>>>>> theirs",
		"arg shop/billing.Send .email string\narg shop/billing.Send .phone string"},
	{"JG086", "a jobs.lock of a newer jobgen",
		"A newer version wrote facts that this one would drop. The version of jobgen is the one in go.mod: a branch that has not merged the update yet is most often the reason.",
		"jobgen.lock 999",
		"go get github.com/jobgen/jobgen@latest"},
	{"JG087", "a line of jobs.lock that can't be read",
		"jobgen wrote every line of the lock. One that it can't read is a fact lost, and a lost fact may be the one that would have stopped a breaking change; so it is not passed over.",
		"arg shop/billing.Send email: string",
		"arg shop/billing.Send .email string"},
	{"JG088", "facts in jobs.lock that exclude each other",
		"Version control merges text. When two branches change one field or setting differently, both lines may survive, or a job's first line may be lost. Rows in the database follow one of them: which one is in production is yours to know.",
		"arg shop/billing.Send .id int64\narg shop/billing.Send .id string",
		"arg shop/billing.Send .id int64"},
	{"JG089", "generated code whose jobs.lock is lost",
		"jobs.lock says what rows in the database look like. Without it, or with one that lists no job, generate writes a new one from the code of today and can't see what breaks. Take it from version control; jobgen breaking -against a revision that has it sees the change all the same. This is a warning: code is generated.",
		"rm jobs.lock && jobgen generate",
		"git checkout jobs.lock && jobgen generate"},
	{"JG095", "risky work without once=",
		"risk= says what a second run would damage. Every job runs at least once: when its worker dies after the payment and before the row is written, it runs again. once= keeps a ledger of what has been done. unique= does not help: it stops a second enqueue, not a second run.",
		"//job:risk=money retry=3 unique=InvoiceID\nfunc Charge(ctx context.Context, a jobs.Charge) error",
		"//job:risk=money retry=3 once=InvoiceID verify=WasCharged\nfunc Charge(ctx context.Context, a jobs.Charge) error"},
	{"JG096", "risky work with retries by default",
		"How often a payment may be tried is a decision for it, or for the jobs of its package, not a default of the module. retry=0 is one, too.",
		"//job:risk=money once=InvoiceID",
		"//job:risk=money once=InvoiceID retry=3"},
	{"JG097", "a queue with risky work that nobody can be called for",
		"When jobs that move money fail at night, whoever looks needs a name to call and instructions to follow. A queue whose own risk= is set, or that has a job with risk=, is declared with oncall= and runbook=.",
		"//jobqueue:payments owner=billing risk=money",
		"//jobqueue:payments owner=billing oncall=billing-primary runbook=https://wiki.example.com/payments risk=money"},
	{"JG098", "a queue without an owner",
		"A declared queue shows up in dashboards and alerts. Without an owner nobody answers for what waits in it.",
		"//jobqueue:billing workers=5",
		"//jobqueue:billing workers=5 owner=billing-team"},
	{"JG099", "more queues than people can watch",
		"A queue is for work that needs workers of its own. Order within a queue is priority=, limits are rate= and concurrency=, and a label is tags=. This is a warning: code is generated all the same.",
		"//jobqueue:mail-high …\n//jobqueue:mail-low …\n//jobqueue:mail-bulk …",
		"//jobqueue:mail owner=mail\n\n//job:queue=mail priority=2"},
}

// Codes lists all codes in order.
func Codes() []string {
	codes := make([]string, len(explanations))
	for i, e := range explanations {
		codes[i] = e.code
	}
	return codes
}

// Explain describes a code with an example of what is wrong and what is right,
// or returns "".
func Explain(code string) string {
	for _, e := range explanations {
		if !strings.EqualFold(e.code, code) {
			continue
		}
		return e.code + ": " + e.title + "\n\n" + wrap(e.why, 80) + "\nwrong:\n" + indent(e.wrong) + "\nright:\n" + indent(e.right)
	}
	return ""
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\n    "), "\n    \n", "\n\n") + "\n"
}

// wrap breaks text into lines of at most width bytes where it can.
func wrap(text string, width int) string {
	var b strings.Builder
	col := 0
	for _, w := range strings.Fields(text) {
		switch {
		case col == 0:
		case col+1+len(w) > width:
			b.WriteByte('\n')
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(w)
		col += len(w)
	}
	b.WriteByte('\n')
	return b.String()
}
