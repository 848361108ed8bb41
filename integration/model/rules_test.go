package model

// A rule is a mistake of a form of the protocol.
type rule uint8

const (
	unbroken rule = iota
	unguarded
	deletesFirst
	addsFirst
	markNotLookedAt
	offsetsBeginAnew
	oldEpochScatters
	oldGatherAcknowledges
	acksUnnumbered
	marksFirst
	markFollows
	deletionFollows
	marksNotRead
	groupAtTheTail
	consumerDeleted
	livingReclaimed
	notReclaimed
	endsEarly
	endAmongItems
	endsWithSources
	oneMark
	asTheyCome
	notAsked
	notAskedAgain
	replyOfReadNotAsked
	noAudit
	backToTheTail
)

// A form is the protocol with one rule broken.
type form struct {
	name   string
	broken rule
	kinds  kind  // of faults; one of them is enough, if any
	wrong  uint8 // the expected error
}

// forms lists mistakes that were seen in similar queues.
var forms = []form{
	{"who finishes adds, first or not", unguarded, pauses, doubled},
	{"a completion deletes and then adds", deletesFirst, crashes, stuck},
	{"a completion adds and then deletes", addsFirst, crashes, doubled},
	{"a source stores without a look at what is stored", markNotLookedAt, losses, doubled},
	{"offsets begin anew with each epoch", offsetsBeginAnew, crashes, doubled},
	{"an old epoch scatters", oldEpochScatters, pauses, storedBehindTheEnd},
	{"an old gather acknowledges", oldGatherAcknowledges, pauses, stuck},
	{"the mark is saved before the hand-over", marksFirst, crashes, skipped},
	{"an acknowledgement deletes and then moves the mark", markFollows, crashes, stuck},
	{"a successor does not read the marks", marksNotRead, crashes, stuck},
	{"the group is made at the tail", groupAtTheTail, 0, stuck},
	{"a consumer is deleted with what it holds", consumerDeleted, crashes, stuck},
	{"nobody puts back what a dead worker held", notReclaimed, crashes, stuck},
	{"what the living hold is put back too", livingReclaimed, 0, inVain},
	{"a source ends before its last item is stored", endsEarly, crashes, stuck},
	{"the end travels among the items", endAmongItems, 0, cutShort},
	{"a stream ends with its sources", endsWithSources, 0, cutShort},
	{"all branches have one mark", oneMark, 0, cutShort},
	{"a gather hands on as things come", asTheyCome, 0, skipped},
	{"a worker does not look for what a lost reply brought", notAsked, losses, stuck},
	{"a gather does not look for what a lost reply brought", replyOfReadNotAsked, losses, stuck},
	{"no audit finds what a gather reads that was taken over from", noAudit, pauses, stuck},
}

// harmless lists rules whose breach costs something but breaks no promise: the search finds no
// error.
var harmless = []struct {
	name   string
	broken rule
	kinds  kind
}{
	{"what the living hold is put back too, if functions may run for nothing", livingReclaimed, all},
	{"an acknowledgement moves the mark and then deletes", deletionFollows, all},
	{"what comes back goes to the tail, and a gather holds what is behind it", backToTheTail, all},
	{"no audit, where nobody goes on that was taken over from", noAudit, crashes | losses},
}
