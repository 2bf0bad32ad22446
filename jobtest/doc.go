// Package jobtest helps to test code that enqueues jobs, and handlers, without a database.
//
// [New] gives a client on a store in memory, and a context that carries it, so that generated Enqueue functions called
// with this context store their jobs there:
//
//	func TestCheckoutSendsAnInvoice(t *testing.T) {
//		ctx, env := jobtest.New(t)
//		if err := shop.Checkout(ctx, order); err != nil { // calls gen.EnqueueSendInvoice(ctx, …)
//			t.Fatal(err)
//		}
//		jobtest.RequireEnqueued(t, env, gen.SendInvoiceJob, jobs.SendInvoice{InvoiceID: 7})
//	}
//
// [Env.RunNext] runs the next ready job as a worker would: arguments are decoded from their stored form, the timeout
// applies, a panic is a failed attempt, and the job moves on to its retry or its end. [Env.Drain] goes on until nothing
// is ready, and [Run] enqueues one job, runs it and returns its typed result:
//
//	reg := jobrt.NewRegistry()
//	err := worker.Register(reg, worker.Deps{BillingService: svc})
//	…
//	receipt, outcome := jobtest.Run(t, env, reg, gen.SendInvoiceJob, jobs.SendInvoice{InvoiceID: 7})
//
// Time stands in the test's hands: [Memory.Advance] makes hours pass for the store at once, so that delayed jobs and
// retries come due, and [Env.Elapse] runs them meanwhile. Everything works inside testing/synctest bubbles too.
//
// [NewInline] gives a client whose jobs have run when they are enqueued. [Drill] lets the worker die wherever it may, and
// counts what happened twice.
//
// [Memory] is a full store: give it to jobrt.NewClient and jobrt.NewPool to test with a real pool.
package jobtest
