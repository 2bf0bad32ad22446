// Package pgtest starts throw-away PostgreSQL servers and PgBouncers from the
// binaries installed on this machine, for tests, benchmarks and the example's
// kill tests. It never touches a server that it did not start.
//
// A test binary shares one cluster among its tests. It is made on the first
// call of [Start] and removed by [Run], which the package's TestMain calls:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
//	func TestClaim(t *testing.T) {
//		srv := pgtest.Start(t)
//		db, err := sql.Open("pgx", srv.NewDatabase(t)) // a fresh, empty database
//		…
//	}
//
// A test that stops or restarts its server takes one of its own with
// [StartPrivate], so that its neighbours don't notice. Code outside tests uses
// [Launch], [Server.CreateDatabase], [Server.Shutdown], [Server.Boot] and
// [Server.Close], which return errors instead of failing a test.
//
// # What a server is like
//
// Its files lie in a folder of their own below [os.TempDir]; it listens on a
// free port of 127.0.0.1 outside the range from which the kernel takes the
// ports of outgoing connections, and keeps that port when it is restarted. It
// writes durably (fsync and synchronous_commit are on), allows 300
// connections, and logs waits for locks that last longer than a second.
// Passwords are random, so that other users of the machine can't log in.
//
// Two roles exist: the superuser postgres ([Server.SuperuserDSN]) and the
// ordinary role app, owner of every database made here, which tests use unless
// they need more ([Server.DSN], [Server.NewDatabase]).
//
// PostgreSQL and PgBouncer refuse to run as root. When the test does, they run
// as the user postgres or, without one, nobody; the folder then belongs to
// that user.
//
// # How it ends
//
// [Run] and test clean-up stop servers and remove their folders. On Linux a
// server also stops at once when the process that started it dies, however it
// dies; the folder that such a death leaves behind is removed by the next
// server that starts. Elsewhere a killed test leaves its server running.
//
// # When PostgreSQL is not installed
//
// Tests skip and name the one line that installs it. With CI=true in the
// environment they fail instead. [Launch] returns a [MissingError].
//
// # Goroutines
//
// Each running server and bouncer has one goroutine that waits for its
// process, in the function named by [WaitFunction]. Tests with goleak pass
// goleak.IgnoreAnyFunction(pgtest.WaitFunction).
package pgtest
