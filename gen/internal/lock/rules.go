package lock

import "strings"

// rules is the closed table of rules with what jobgen explain says.
var rules = []struct{ name, why string }{
	{JobNoDelete, "Rows name their job. When no job has that name or has it as alias=, no worker serves them and they wait for ever.\nRenamed: add alias=OLD. Given up: drain it, remove it, and accept with -accept-breaking; its name stays reserved."},
	{JobNameReserved, "Rows of a removed job may be left in some database. A new job of its name and another shape would misread them.\nChoose another name, or run jobgen lock prune when no rows are left."},
	{AliasNoDelete, "Rows from before a rename carry the old name. Without the alias no worker serves them.\nKeep alias= until no rows of the old name are left."},
	{FieldSameKind, "Rows hold the field in its old wire kind. Numbers may get wider (int32 to int64); everything else is misread or refused.\nKeep the kind and add a field beside it, or set version= and write the upgrade function (JG078)."},
	{FieldNoRename, "Rows hold the value under the old JSON name, where the code no longer looks. One field went and another of its kind came, so that is what happened, unless the two have nothing to do with each other.\nKeep the name in the json tag, or set version= and write the upgrade function (JG078)."},
	{FieldNoDelete, "Rows keep the value, and the code ignores it. A note."},
	{FieldNull, "Rows that hold null give the zero value. A note."},
	{ResultSameKind, "Results wait in the database for jobs that take them. One that is written in the old shape and read in the new is misread or refused.\nAdd a field instead, or give the new result to a new job. A note when no job takes the result."},
	{ParentsSame, "Jobs that wait for parents are stored with what their handler took then: how many, in which order, how, of which type.\nWrite a new job for the new parents and keep this one until none of it wait."},
	{VersionNoLower, "Rows of the higher version would be read as the lower one.\nRaise version= further instead."},
	{VersionNoUpgrade, "Rows of an earlier version would be read as if they had today's meaning.\nWrite the upgrade function, or keep it: JG078."},
	{OnceSameKey, "What was done is recorded under the job's stored name and the fields of once=, in their order. Under another key it counts as not done, and would be done again.\nKeep the key; rename a job with name=OLD, which keeps the stored name."},
	{QueueChanged, "Rows stay in the queue that they were enqueued to; workers must serve it until it is empty. A note."},
	{RetryChanged, "Rows keep the number of retries that they were enqueued with. A note."},
	{NextChanged, "Rows keep the continuations that they were enqueued with. A note."},
}

// Explain describes a rule of Compare, or returns "".
func Explain(rule string) string {
	for _, r := range rules {
		if strings.EqualFold(r.name, rule) {
			return r.name + ": a rule of jobgen breaking\n\n" + r.why + "\n"
		}
	}
	return ""
}

// Rules lists the names of all rules.
func Rules() []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.name
	}
	return names
}
