//go:build mutants

package mutants

const lua = "internal/broker/lua/"

// all lists mistakes that were seen in similar queues.
var all = []mutant{
	{
		name: "a leaf that is gone holds the window", file: lua + "lib.lua",
		from: "    if has_leaf(leaves or source.queue, string.sub(mark, 3)) then\n", to: "    if true then\n",
		pkg: "internal/broker", run: "DeletedLeafHoldsNoWindow",
	},
	{
		name: "the next reader does not know what the last one delivered", file: lua + "unstage.lua",
		from: "    move_marks(string.sub(meta, #ARGV[4] + 3), queue, path)\n", to: "",
		pkg: "bridge", run: "NextConsumer",
	},
	{
		name: "a source is forgotten by the first leaf", file: lua + "lib.lua",
		from: "'g:' .. leaf) ~= 'end' then return false end", to: "'g:' .. leaf) == '' then return false end",
		pkg: "internal/broker", run: "LastBranch",
	},
	{
		name: "a source without an end is forgotten", file: lua + "ack.lua",
		from: "ended == '1' and tonumber(source[5]) >= 0 and", to: "ended == '1' and",
		pkg: "internal/consumer", run: "LostEnd",
	},
	{
		name: "the items of an opened group return under the name of their parent", file: lua + "complete.lua",
		from: "source = ARGV[a + 1] ~= '' and ARGV[a + 1] or e.source, attempts", to: "source = e.source, attempts",
		pkg: "flow", run: "FlatMap",
	},
	{
		name: "a gather does not know which outputs of an input were delivered", file: "internal/consumer/children.go",
		from: "		rg.skip = kid.delivered.Add(0, kid.next)\n", to: "",
		pkg: "internal/consumer", run: "ChildrenInAnyOrder",
	},
	{
		name: "the mark of a child stays", file: "internal/consumer/groups.go",
		from: "		t.drops = append(t.drops, name)\n	}\n	delete(t.source(s.parent).kids, s.at)\n", to: "	}\n	delete(t.source(s.parent).kids, s.at)\n",
		pkg: "internal/consumer", run: "ChildrenInAnyOrder",
	},
	{
		name: "inputs are kept for ever", file: lua + "ack.lua",
		from: "        if source[6] then trim_inputs(name, low) end\n", to: "",
		pkg: "internal/broker", run: "InputsAreKept",
	},
	{
		name: "inputs outlive their source", file: lua + "lib.lua",
		from: ", prefix .. 'in:' .. name)", to: ")",
		pkg: "internal/broker", run: "InputsAreKept",
	},
	{
		name: "an input goes before it is delivered", file: lua + "ack.lua",
		from: "math.min(low, 2 ^ 52) + 1))", to: "math.min(low, 2 ^ 52) + 2))",
		pkg: "internal/broker", run: "InputsAreKept",
	},
	{
		name: "entries of one read are judged by two looks", file: "internal/consumer/loop.go",
		from: "	if len(doubtful) > 0 {\n", to: "	if false {\n",
		pkg: "internal/consumer", run: "ForgottenSource|Forged",
	},
	{
		name: "the completion is not guarded", file: lua + "complete.lua",
		from: "== 0 and #redis.call('XRANGE', e.stream, e.id, e.id) == 0 then", to: "== -1 then",
		pkg: "internal/broker", run: "RandomOrders|LostReply",
	},
	{
		name: "deleted before it is acknowledged", file: lua + "complete.lua",
		from: "  if redis.call('XACK', e.stream, 'w', e.id) == 0", to: "  redis.call('XDEL', e.stream, e.id)\n  if redis.call('XACK', e.stream, 'w', e.id) == 0",
		pkg: "internal/broker", run: "SickOutQueue|RandomOrders|LostReply|FailedAdd",
	},
	{
		name: "deleted before it is added", file: lua + "complete.lua",
		from: "  local cost = e.cost\n", to: "  redis.call('XDEL', e.stream, e.id)\n  local cost = e.cost\n",
		pkg: "internal/broker", run: "FailedAdd",
	},
	{
		name: "the mark of a source is not looked at", file: lua + "scatter.lua",
		from: "    if first + n > stored then\n", to: "    if true then\n",
		pkg: "internal/broker", run: "LostReply|RandomOrders",
	},
	{
		name: "only the beginning of a batch is compared", file: lua + "scatter.lua",
		from: "    if first + n > stored then\n", to: "    if first >= stored then\n",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "a repeated call does not answer what was dropped", file: lua + "scatter.lua",
		from: "if earlier and earlier == ARGV[9]", to: "if false and earlier == ARGV[9]",
		pkg: "bridge", run: "SendWhose",
	},
	{
		name: "a standby is not told of a release", file: lua + "lib.lua",
		from: "    tell(mailbox, 'free', queue)\n", to: "",
		pkg: "internal/broker", run: "Standby",
	},
	{
		name: "a standby is not told of a death", file: lua + "fence.lua",
		from: "    if kind == 'e' then leave_gathers(ARGV[1], ARGV[1] .. 'awaited:' .. id) end\n", to: "",
		pkg: "internal/broker", run: "Standby",
	},
	{
		name: "items of callers that left are stored", file: "internal/producer/group.go",
		from: "	g.calling = !g.withdrawn\n", to: "	g.calling = true\n",
		pkg: "internal/producer", run: "CallersThatLeft|ACallerThatLeaves",
	},
	{
		name: "a caller that leaves during the call is told that nothing is stored", file: "internal/producer/group.go",
		from: "	case g.calling && r.isUnderWay():\n", to: "	case false:\n",
		pkg: "internal/producer", run: "ACallerThatLeaves|EachItemIsWhere",
	},
	{
		name: "offsets begin anew with each epoch", file: lua + "source.lua",
		from: "redis.call('HSET', KEYS[1], 'by', ARGV[5], 'claim', ARGV[8])\n", to: "redis.call('HSET', KEYS[1], 'by', ARGV[5], 'stored', 0)\n",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "the mark is saved before the delivery", file: "bridge/gather.go",
		from: "	taken := d.sent - d.out.untaken()\n", to: "	taken := d.sent\n",
		pkg: "bridge", run: "Resume|LeavesALoop",
	},
	{
		name: "acknowledged for the last time before all is reported", file: "internal/consumer/receiver.go",
		from: "		<-r.left\n", to: "",
		pkg: "internal/consumer", run: "LastAcknowledgement",
	},
	{
		name: "a consumer is deleted with what it holds", file: lua + "reclaim.lua",
		from: "  if left == 0 then return end\n", to: "",
		pkg: "internal/broker", run: "RequeueTakesSeveralCalls|RandomOrders|Fenced|PreventsFence",
	},
	{
		name: "the living are declared dead", file: lua + "fence.lua",
		from: "if beat and tonumber(beat) == tonumber(ARGV[i + 1]) then", to: "if beat then",
		pkg: "internal/broker", run: "NewHeartbeatPreventsFence",
	},
	{
		name: "dead at the first look", file: "internal/broker/lease.go",
		from: "			if now.Sub(s.seen.since) >= l.lease {\n", to: "			if now.Sub(s.seen.since) >= 0 {\n",
		pkg: "internal/broker", run: "StoppedWorkerIsFenced|Outage",
	},
	{
		name: "a gather takes over from one that lives", file: lua + "consume.lua",
		from: " or redis.call('ZSCORE', KEYS[3], meta[3])", to: "",
		pkg: "internal/broker", run: "Takeover",
	},
	{
		name: "a group begins at the end of its stream", file: lua + "lib.lua",
		from: "  if redis.call('EXISTS', suspects) == 0 then redis.call('XGROUP', 'CREATE', suspects, 'w', '0', 'MKSTREAM') end\n  return redis.call('XADD', suspects, 'NOMKSTREAM', '*', returned(...))\n",
		to:   "  redis.call('XADD', suspects, '*', returned(...))\n  return redis.pcall('XGROUP', 'CREATE', suspects, 'w', '$')\n",
		pkg:  "internal/broker", run: "RandomOrders",
	},
	{
		name: "scripts are not loaded again", file: "internal/broker/script.go",
		from: "		reply, err = s.Run(ctx, c.rdb, keys, args...).Result()\n", to: "		reply, err = s.EvalSha(ctx, c.rdb, keys, args...).Result()\n",
		pkg: "internal/broker", run: "ScriptsAreReloaded",
	},
	{
		name: "scripts with payloads are not loaded again", file: "internal/broker/script.go",
		from: `hasCode(evaluated.Err(), "NOSCRIPT")`, to: `hasCode(evaluated.Err(), "NOTHING")`,
		pkg: "internal/broker", run: "ScriptsAreReloaded",
	},
	{
		name: "a lease is not renewed", file: lua + "heartbeat.lua",
		from: "redis.call('ZADD', KEYS[1], ms, ARGV[1])\n", to: "",
		pkg: "internal/broker", run: "Fenced|Outage|PreventsFence",
	},
	{
		name: "an outage counts against the others", file: "internal/broker/lease.go",
		from: "		before = nil //", to: "		_ = before //",
		pkg: "internal/broker", run: "Outage",
	},
	{
		name: "an outage is a part of the grace", file: lua + "heartbeat.lua",
		from: "math.min(since, silence)", to: "since",
		pkg: "internal/broker", run: "Grace",
	},
	{
		name: "what a live worker holds is requeued", file: lua + "reclaim.lua",
		from: "    if not is_live(row[1]) then", to: "    if true then",
		pkg: "internal/broker", run: "LiveProcesses",
	},
	{
		name: "what a gather holds is requeued", file: lua + "reclaim.lua",
		from: " and string.find(reader, '^stage:')", to: "",
		pkg: "internal/broker", run: "LiveProcesses",
	},
	{
		name: "an old epoch scatters", file: lua + "scatter.lua",
		from: "if source.epoch ~= ARGV[2] then", to: "if false then",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "an old gather acknowledges", file: lua + "ack.lua",
		from: "if (meta[5] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end", to: "",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "the gather of a replaced stage is not told", file: lua + "stage.lua",
		from: "  redis.call('HSET', meta, 'replaced', ARGV[1])\n", to: "",
		pkg: "bridge", run: "ReplacedStageLeaves",
	},
	{
		name: "results behind a gap stay in a replaced queue", file: "internal/consumer/loop.go",
		from: "	l.order.release()\n", to: "",
		pkg: "bridge", run: "ReplacedStageLeaves",
	},
	{
		name: "an old gather counts deliveries", file: lua + "nack.lua",
		from: "if (meta[2] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end", to: "",
		pkg: "internal/broker", run: "DeliveriesAreKept",
	},
	{
		name: "a repeated call makes a second dead letter", file: lua + "nack.lua",
		from: "if before >= 0 and why ~= '' then", to: "if why ~= '' then",
		pkg: "internal/broker", run: "DeliveriesAreKept",
	},
	{
		name: "deliveries of acknowledged items are kept", file: lua + "ack.lua",
		from: "if #ARGV >= settled then", to: "if false then",
		pkg: "internal/broker", run: "DeliveriesAreKept",
	},
	{
		name: "a stale ticket acknowledges", file: "internal/consumer/nack.go",
		from: "	tk.state = nacked\n", to: "",
		pkg: "bridge", run: "NackBringsTheResultAgain",
	},
	{
		name: "AckWait does not wait", file: "internal/consumer/await.go",
		from: "	case tk.state == acked && !pending:\n", to: "	case tk.state == acked && (source != \"\" || pending):\n",
		pkg: "bridge", run: "AckWaitReturnsOnce",
	},
	{
		name: "an epoch is given twice", file: lua + "source.lua",
		from: "math.max(tonumber(meta[4] or 0), tonumber(old[4] or 0))", to: "tonumber(old[4] or 0)",
		pkg: "internal/broker", run: "EpochsAreUnique",
	},
	{
		name: "a gather of another queue of the name acknowledges", file: lua + "ack.lua",
		from: "if (meta[5] or '') .. ' ' .. meta[1] ~= ARGV[1] then", to: "if meta[1] ~= string.match(ARGV[1], '%d+$') then",
		pkg: "internal/broker", run: "EpochsAreUnique",
	},
	{
		name: "a dead gather leaves its name", file: lua + "consume.lua",
		from: "string.match(meta[2] or '', '^gather:(.+)$') or ''", to: "''",
		pkg: "internal/broker", run: "PileUp",
	},
	{
		name: "all look for the dead", file: lua + "heartbeat.lua",
		from: "if watcher[1] and watcher[1] ~= ARGV[1] and", to: "if false and",
		pkg: "internal/broker", run: "OneProcessIsTheWatcher",
	},
	{
		name: "a stream ends with its sources", file: "internal/consumer/loop.go",
		from: " || l.order.handedOut(s.name) < s.end {", to: " {",
		pkg: "internal/consumer", run: "EndOfStream|ContinuesAfter",
	},
	{
		name: "a value is the end", file: "bridge/seq.go",
		from: "			if !to.Give(v) {", to: "			if any(v) == any(\"EOF\") || !to.Give(v) {",
		pkg: "bridge", run: "EveryValueIsData",
	},
	{
		name: "a source ends before its last item is stored", file: lua + "finish.lua",
		from: "if stored < last then add(", to: "if false then add(",
		pkg: "internal/broker", run: "LostEndIsStored",
	},
	{
		name: "all branches have one mark", file: "internal/worker/slots.go",
		from: "		b.Source += out.Branch\n", to: "",
		pkg: "bridge", run: "Multiplex",
	},
	{
		name: "what waits is counted by entries", file: lua + "lib.lua",
		from: "  local first = redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1]\n",
		to:   "  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]\n",
		pkg:  "internal/broker", run: "RandomOrders",
	},
	{
		name: "what waits is counted by who reads", file: lua + "take.lua",
		from: "local function full(stream, meta)\n",
		to: `local measured, plain = unread, read

local function unread(stream, meta)
  local _, _, first = measured(stream, meta)
  return tonumber(redis.call('HGET', meta, 'items') or 0) - tonumber(redis.call('HGET', meta, 'read') or 0), 0, first
end

local function read(stream, count)
  local got = plain(stream, count)
  if string.find(stream, ':q:', 1, true) then
    for _, entry in ipairs(got) do redis.call('HINCRBY', string.gsub(stream, ':q:', ':m:'), 'read', field(entry, 'n')) end
  end
  return got
end

local function full(stream, meta)
`,
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "what comes back goes to the tail", file: lua + "complete.lua",
		from: "    return put_back(e.returns, e.suspects,", to: "    return put_back(e.stream, e.suspects,",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "a payload that is committed gets a lifetime", file: "internal/broker/script.go",
		from: "pipe.SetNX(ctx, p.key, p.frame, payloadTTL)", to: "pipe.Set(ctx, p.key, p.frame, payloadTTL)",
		pkg: "internal/broker", run: "LostReply|RandomOrders",
	},
	{
		name: "a payload keeps its lifetime", file: lua + "complete.lua",
		from: "    if out.payload then redis.call('PERSIST', out.payload) end\n", to: "",
		pkg: "internal/broker", run: "PayloadsStay",
	},
	{
		name: "a payload is named after its items", file: "internal/broker/entry.go",
		from: "fmt.Sprint(uuid.New(), \".\", len(b.Frame))", to: "fmt.Sprint(b.Source, b.First, uuid.Nil, \".\", len(b.Frame))",
		pkg: "internal/broker", run: "LostReply|PayloadsStay|RandomOrders",
	},
	{
		name: "a payload is deleted with a batch that is given up", file: lua + "lib.lua",
		from: "  if redis.call('PTTL', payload) < 0 then return 0 end\n", to: "",
		pkg: "internal/broker", run: "IsNotDiscarded",
	},
	{
		name: "a completion that is refused leaves its payload", file: lua + "complete.lua",
		from: "    if redis.call('PERSIST', payload) == 1 then redis.call('UNLINK', payload) end\n", to: "",
		pkg: "internal/broker", run: "Refused",
	},
	{
		name: "payloads of batches that have to wait fill the memory", file: lua + "scatter.lua",
		from: "        for k = key, #KEYS do drop_unstored(KEYS[k]) end\n", to: "",
		pkg: "internal/broker", run: "RefusedPayloads",
	},
	{
		name: "a payload is stored and its batch is refused", file: lua + "scatter.lua",
		from: "if #KEYS > 6 and redis.call('EXISTS', unpack(KEYS, 7)) > 0 then redis.call('HDEL', KEYS[1], '') end\n", to: "",
		pkg: "internal/broker", run: "RefusedPayloads",
	},
	{
		name: "a completion that comes twice deletes its payload", file: lua + "complete.lua",
		from: "    if redis.call('PERSIST', payload) == 1 then", to: "    if true then",
		pkg: "internal/broker", run: "RepeatedCompletion",
	},
	{
		name: "a payload stays before its entry is there", file: lua + "complete.lua",
		from: "      add(to, out.source,", to: "      if out.payload then redis.call('PERSIST', out.payload) end\n      add(to, out.source,",
		pkg: "internal/broker", run: "PayloadOfFailedAddExpires",
	},
	{
		name: "results without a gather fall into the shared queue", file: lua + "complete.lua",
		from: "local to = out.private or q", to: "local to = out.private and out.private.inc and out.private or q",
		pkg: "bridge", run: "PrivateResultsWithoutAGatherAreDropped",
	},
	{
		name: "a queue expires under a live scatter", file: lua + "expire.lua",
		from: "tonumber(source[2] or 0) < 0 and", to: "false and",
		pkg: "bridge", run: "ExpiresOnceNoProcessUsesItsFlow",
	},
	{
		name: "a crash is not counted", file: lua + "reclaim.lua",
		from: "+ tonumber(ARGV[3])", to: "",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "an attempt is not counted", file: lua + "complete.lua",
		from: "    returned(rest.source, rest.first, rest.n, rest.attempts,", to: "    returned(rest.source, rest.first, rest.n, 0,",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "one audit is enough", file: "internal/consumer/audit.go",
		from: "	if m.absent == nil {\n", to: "	if m.absent == nil {\n		m.absent = absent\n	}\n	if false {\n",
		pkg: "internal/consumer", run: "OneAudit",
	},
	{
		name: "what is completed while a worker looks is run again", file: "internal/worker/held.go",
		from: "h.recall = maps.Clone(h.held)", to: "h.recall = maps.Clone(h.recall)",
		pkg: "workers", run: "CompletedMeanwhile|GoesOn",
	},
	{
		name: "suspects are run together", file: "internal/worker/fetcher.go",
		from: "	suspects := int(max(0, 1-f.entries.suspects.Load()))\n", to: "	suspects := 100\n",
		pkg: "workers", run: "Suspects",
	},
	{
		name: "who waits for an acknowledgement is not told of", file: "internal/consumer/tracker.go",
		from: "	t.urgency.eager = ackEager\n", to: "	t.urgency.eager = 0\n",
		pkg: "internal/consumer", run: "Awaited",
	},
	{
		name: "what is dropped for the window waits for nobody", file: lua + "scatter.lua",
		from: "if narrow then redis", to: "if status == 'window' then redis",
		pkg: "internal/consumer", run: "Awaited",
	},
	{
		name: "a cancel comes before the pause that came first", file: "internal/worker/operator.go",
		from: "	if f.stages.outdated() {\n", to: "	if false {\n",
		pkg: "operate", run: "PauseComesBefore",
	},
	{
		name: "a purged entry has no stamp", file: lua + "drop_waiting.lua",
		from: "stamp_of(entry)", to: "''",
		pkg: "internal/broker", run: "DropWaiting",
	},
	{
		name: "a completion loses the stamp", file: lua + "complete.lua",
		from: "tonumber(out.size), e.stamp, out.kind", to: "tonumber(out.size), now_ms(), out.kind",
		pkg: "internal/broker", run: "StampStays",
	},
	{
		name: "a paused stage is read", file: "internal/worker/ready.go",
		from: "!r.sick && !r.stopped() && ", to: "!r.sick && ",
		pkg: "operate", run: "PausedStageIsNotRead",
	},
	{
		name: "a job goes with the goroutine that a function has ended", file: "internal/worker/slots.go",
		from: "			go s.run(ctx) // in place of this goroutine\n", to: "			s.job = nil\n			go s.run(ctx)\n",
		pkg: "workers", run: "Goexit",
	},
	{
		name: "a late acknowledgement counts", file: lua + "ack.lua",
		from: "if tonumber(meta[4] or 0) >= tonumber(ARGV[2]) then return 'ok' end\n", to: "",
		pkg: "internal/broker", run: "LateAckHasNoEffect",
	},
	{
		name: "what a late request brought is not looked for", file: "internal/worker/fetchstate.go",
		from: "return !c.again.IsZero() && now.After(c.again)", to: "return false",
		pkg: "workers", run: "LateRequest",
	},
	{
		name: "acknowledged before it is put back", file: lua + "reclaim.lua",
		from: "  if entry then\n", to: "  redis.call('XACK', KEYS[1], 'w', row[1])\n  if entry then\n",
		pkg: "integration", run: "DeniedWatcher",
	},
	{
		name: "a stage that is no consumer takes", file: "internal/worker/routes.go",
		from: "		if stands[i].Consumer {\n", to: "		if stands[i].Consumer || true {\n",
		pkg: "integration", run: "IsNotConsumer",
	},
	{
		name: "what a fused stage leaves off is forgotten", file: "internal/worker/completion.go",
		from: "		if taken == s.N {\n", to: "		if taken > 0 {\n",
		pkg: "bridge", run: "DearSecondStage",
	},
	{
		name: "a read follows a read also where there is a bound", file: "internal/worker/routes.go",
		from: "return r.userBounded() || !r.full.IsZero()", to: "return false",
		pkg: "bridge", run: "BoundedQueuesStop|MaxBytesBounds",
	},
	{
		name: "values are handed on without their failures", file: "internal/runner/input.go",
		from: "made.values[:c.items:c.items], made.failuresBefore(c.items), true, true", to: "made.values[:c.items:c.items], nil, true, true",
		pkg: "internal/runner", run: "HeldResults",
	},
	{
		name: "a frame is read into while it is written", file: "internal/worker/completer.go",
		from: "func (s *session) commitOrQueue(ctx context.Context, made []completion) (next *job) {\n", to: "func (s *session) commitOrQueue(ctx context.Context, made []completion) (next *job) {\n	for i := range made {\n		for _, frame := range made[i].spent {\n			s.memory.Put(frame)\n		}\n		made[i].spent = nil\n	}\n",
		pkg: "bridge", run: "WindowHoldsForABacklog|Slices",
	},
	{
		name: "the memory of half a frame is used again", file: "internal/consumer/receiver.go",
		from: "	whole := rg.From == rg.Entry.First && rg.To == rg.Entry.End()", to: "	whole := true",
		pkg: "internal/consumer", run: "SpentReusesWholeFrames",
	},
	{
		name: "stock stays behind stuck slots", file: "internal/worker/budget.go",
		from: "			if f.counted.Sub(j.since) < stale {\n", to: "			if true {\n",
		pkg: "workers", run: "TheStockOfStuckSlots",
	},
	{
		name: "results of a call go to the wrong entry", file: "internal/worker/completion.go",
		from: "		d := &made[first+i]\n", to: "		d := &made[i]\n",
		pkg: "internal/worker", run: "ProductReplacesEachEntry",
	},
	{
		name: "entries that are not adjacent share a call", file: "internal/worker/batchcalls.go",
		from: "head.Source == e.Source && head.Attempts == e.Attempts && run.end() == e.First", to: "head.Source == e.Source && head.Attempts == e.Attempts",
		pkg: "internal/worker", run: "ACallGetsAdjacentEntries",
	},
	{
		name: "what is new waits for its turn", file: "internal/worker/scheduler.go",
		from: "	if len(fresh) <= polledRoutes {\n", to: "	if false {\n",
		pkg: "internal/worker", run: "AFewNewRoutes",
	},
	{
		name: "what is behind waits for its turn", file: "internal/worker/scheduler.go",
		from: "	for _, next := range r.readers {\n", to: "	for _, next := range r.readers[:0] {\n",
		pkg: "internal/worker", run: "WhatIsBehindIt",
	},
	{
		name: "who completes takes, although nothing was completed", file: lua + "complete.lua",
		from: "if ARGV[4] ~= '' and replies[1] == 'ok' then", to: "if ARGV[4] ~= '' and replies[1] ~= 'gone' then",
		pkg: "internal/broker", run: "CommitTakesNextEntry|LostCommitReply",
	},
	{
		name: "what is heard in passing waits for the next read", file: "internal/worker/fetcher.go",
		from: "0); found || err != nil {", to: "0); found && err != nil {",
		pkg: "workers", run: "HeardOf",
	},
	{
		name: "a stage that was made is not read", file: "internal/worker/hints.go",
		from: "if !slices.Contains(f.stages.changed, h.What) {", to: "if false {",
		pkg: "workers", run: "OnlyStages",
	},
	{
		name: "a split suspect forgets the workers that died with it", file: lua + "complete.lua",
		from: "rest.kind, rest.data, nil, e.deaths, rest.count)", to: "rest.kind, rest.data, nil, nil, rest.count)",
		pkg: "internal/broker", run: "NameWorkersThatDied",
	},
	{
		name: "a retry does not name the worker that failed", file: lua + "complete.lua",
		from: "rest.kind, rest.data, e.worker, e.deaths, rest.count))", to: "rest.kind, rest.data, nil, e.deaths, rest.count))",
		pkg: "internal/broker", run: "RetryNamesFailedWorker",
	},
	{
		name: "a worker that fails alone takes all retries", file: "internal/worker/breaker.go",
		from: "if b.failing < maxFailing || b.aloneRests > 0 || b.rests() {", to: "if true {",
		pkg: "workers", run: "RetriesGoToAWorker",
	},
	{
		name: "a worker that fails alone slows down for good", file: "internal/worker/breaker.go",
		from: "case b.othersSucceed: // a trial failed", to: "case true: // a trial failed",
		pkg: "internal/worker", run: "TriesOneCall",
	},
	{
		name: "an entry that was read counts as requeued", file: lua + "look.lua",
		from: "requeued[s] = tally_up(s, '(' .. last, '+',", to: "requeued[s] = tally_up(s, '-', '+',",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "delayed items are in no column", file: lua + "look.lua",
		from: "later = tally_up(delayed, '-', '+', waiting)", to: "later = 0",
		pkg: "internal/broker", run: "RandomOrders",
	},
	{
		name: "a broken queue hides the others", file: lua + "look.lua",
		from: "local found, queue = pcall(look, k)", to: "local found, queue = true, look(k)",
		pkg: "internal/broker", run: "ContentsReportsBrokenQueues",
	},
	{
		name: "a report that arrives twice counts twice", file: lua + "report.lua",
		from: ">= tonumber(ARGV[1]) then return {'again', watched} end", to: "> tonumber(ARGV[1]) then return {'again', watched} end",
		pkg: "internal/broker", run: "ReportsAddUpOnce",
	},
	{
		name: "a stage that is removed twice leaves two records", file: lua + "unstage.lua",
		from: "if found and ARGV[3] == '' and ins > 0 then",
		to:   "found = found or ARGV[2]\nif ARGV[3] == '' and ins > 0 then",
		pkg:  "internal/broker", run: "StageRemovedTwice",
	},
	{
		name: "counts that arrive after the end are lost", file: lua + "report.lua",
		from: "if gone then count_late(e) end", to: "if gone then return end",
		pkg: "internal/broker", run: "LateReportBelongs",
	},
	{
		name: "a flow without items leaves a record", file: lua + "lib.lua",
		from: "if came == 0 and (tonumber", to: "if came < 0 and (tonumber",
		pkg: "internal/broker", run: "StageWithoutItems",
	},
	{
		name: "the records of ended flows grow for good", file: lua + "lib.lua",
		from: "'MAXLEN', '~', 2000, '*', 'stage'", to: "'MAXLEN', '~', 20000, '*', 'stage'",
		pkg: "internal/broker", run: "RecordsOfEndedStages",
	},
	{
		name: "the end of a connection is no failure", file: "internal/broker/connect.go",
		from: "	c.ended.Add(1)\n", to: "	c.ended.Add(0)\n",
		pkg: "internal/broker", run: "EndedConnection",
	},
	{
		name: "no worker is rung for new entries", file: lua + "lib_rings.lua",
		from: "    if ring_one(prefix, classes, queue, stage) and single then return claim(ready, queue, now_ms()) end\n", to: "",
		pkg: "internal/broker", run: "UnreadEntriesWakeOneWorker",
	},
	{
		name: "a ring goes to a dead worker", file: lua + "lib_rings.lua",
		from: "      worker = redis.call('ZRANGE', idle, -1, -1)[1]\n", to: "      worker = nil\n",
		pkg: "internal/broker", run: "DeadWorkerIsNotRung",
	},
	{
		name: "a worker that takes some entries wakes no other one", file: lua + "take.lua",
		from: "    ring_one(ARGV[5], classes, name, stage)\n", to: "",
		pkg: "internal/broker", run: "TakeWakesTheNextWorker",
	},
	{
		name: "an empty queue stays ready", file: lua + "take.lua",
		from: "    if not left then return redis.call('ZREM', ready, name) end\n", to: "    if not left then return end\n",
		pkg: "internal/broker", run: "UnreadEntriesWakeOneWorker",
	},
	{
		name: "a queue stays ready although its out-queue is full", file: lua + "take.lua",
		from: "      settle(name, state.ring, false) -- the hint room brings it back\n", to: "",
		pkg: "internal/broker", run: "FullOutQueueIsNotReady",
	},
	{
		name: "a queue stays ready beyond the window", file: lua + "take.lua",
		from: "ring and (not beyond and unread_left(", to: "ring and (unread_left(",
		pkg: "internal/broker", run: "EntriesBeyondWindowAreNotReady",
	},
	{
		name: "requeued entries at the end of a window are not ready", file: lua + "take.lua",
		from: " or unread_left(KEYS[base], wanted, back) or\n", to: " or\n",
		pkg: "internal/broker", run: "EntriesBeyondWindowAreNotReady",
	},
	{
		name: "a lost ring is not repeated", file: lua + "mark_unread.lua",
		from: "  ring_one(prefix, classes, queue, told)\n", to: "",
		pkg: "internal/broker", run: "LostRingIsRepeated",
	},
	{
		name: "no worker looks at all queues", file: lua + "ready.lua",
		from: "  pass = 1\n", to: "",
		pkg: "workers", run: "EntriesWithoutARingAreFound",
	},
	{
		name: "a worker is rung in its old class", file: lua + "lib_rings.lua",
		from: "  redis.call('ZREM', prefix .. 'idle:' .. class, worker)\n", to: "",
		pkg: "internal/broker", run: "WorkerChangesClass",
	},
	{
		name: "a stage over a backlog is not ready", file: lua + "lib_rings.lua",
		from: "  announce_unread(prefix, queue, ring)\n", to: "",
		pkg: "internal/broker", run: "StageOverBacklogIsReady|PausedStageIsNotReady",
	},
	{
		name: "the queue of a stage that has gone stays ready", file: lua + "lib_rings.lua",
		from: "  if was then redis.pcall('ZREM', prefix .. 'ready:' .. was, queue) end\n", to: "",
		pkg: "internal/broker", run: "StageOverBacklogIsReady|RingsAreForgotten|PausedStageIsNotReady",
	},
	{
		name: "a worker that holds entries is not told of their stage", file: lua + "lib_rings.lua",
		from: "        tell(prefix .. 'p:' .. row[1], 'stages', stage)\n", to: "",
		pkg: "internal/broker", run: "FewWorkersAreToldOfStages",
	},
	{
		name: "workers of earlier versions are not told of stages", file: lua + "lib_rings.lua",
		from: "        tell(prefix .. 'p:' .. worker, 'stages', stage)\n", to: "",
		pkg: "internal/broker", run: "FewWorkersAreToldOfStages",
	},
	{
		name: "all workers at queues are told of each stage", file: lua + "lib_rings.lua",
		from: "    if runs(direct[i + 1]) then tell(", to: "    if true then tell(",
		pkg: "executor", run: "FlowCostIsIndependentOfOtherWorkers",
	},
	{
		name: "each stage reads the workers", file: "executor/fleet.go",
		from: "; ok && found.agree(want) {\n", to: "; ok && len(found.workers) < 0 {\n",
		pkg: "executor", run: "FlowCostIsIndependentOfOtherWorkers",
	},
	{
		name: "the queue of a stage takes a round trip", file: "executor/stage.go",
		from: "	if s.name == \"\" && out.Owner != \"\" {\n", to: "	if s.name == \"\" && out.Owner == \"\" {\n",
		pkg: "executor", run: "FlowRoundTrips",
	},
	{
		name: "a flow is deleted although its stage reads a queue that stays", file: lua + "delete_flow.lua",
		from: "    if not inside[queue] then return 0 end\n", to: "",
		pkg: "internal/broker", run: "FlowIsDeletedInOneStep",
	},
	{
		name: "one call deletes any number of entries", file: lua + "delete_flow.lua",
		from: "if left < 0 then return 0 end\n", to: "",
		pkg: "internal/broker", run: "FlowIsDeletedInOneStep",
	},
	{
		name: "payloads of a deleted flow stay", file: lua + "delete_flow.lua",
		from: "    if payload then redis.call('UNLINK', prefix .. 'f:' .. payload) end\n", to: "",
		pkg: "internal/broker", run: "FlowIsDeletedInOneStep",
	},
	{
		name: "a gather leaves the entries of a stage that has gone", file: lua + "consume.lua",
		from: "  return redis.call('XPENDING', KEYS[6], 'w')[1]\n", to: "  return 0\n",
		pkg: "internal/broker", run: "GatherInheritsEntriesOfStage",
	},
	{
		name: "all workers get the same ready queue", file: lua + "ready.lua",
		from: "    enqueue(prefix, one.ready, one.queue) -- the next worker gets another one\n", to: "",
		pkg: "internal/broker", run: "ReadyQueuesAreShared",
	},
	{
		name: "a queue that somebody deleted counts as lost", file: lua + "leave.lua",
		from: "ARGV[3] .. 'workers', ARGV[3] .. 'executors') == 0 then", to: "ARGV[3] .. 'workers') == 0 then",
		pkg: "executor", run: "DeletedQueueIsNotLost",
	},
	{
		name: "a lost queue counts as deleted", file: "internal/broker/lost.go",
		from: "	return &lostError{q.Name}\n", to: "	return err\n",
		pkg: "executor", run: "ScatterIntoLostQueueSaysSo",
	},
	{
		name: "all workers that are awake look for a single entry", file: lua + "ready.lua",
		from: "      elseif not is_claimed(tonumber(first[i + 1]), ms) then\n", to: "      else\n",
		pkg: "internal/broker", run: "SingleEntryIsForOneWorker",
	},
	{
		name: "the first worker that asks claims nothing", file: lua + "ready.lua",
		from: "    claim(one.ready, one.queue, ms)\n", to: "",
		pkg: "internal/broker", run: "SingleEntryIsForOneWorker",
	},
	{
		name: "a claim lasts until the clock of another server", file: lua + "lib_rings.lua",
		from: "return score > ms and score <= ms + 50 end", to: "return score > ms end",
		pkg: "internal/broker", run: "ClaimEnds",
	},
	{
		name: "a second entry is claimed too", file: lua + "lib_rings.lua",
		from: "    if score then return enqueue(prefix, ready, queue) end -- it has more entries now\n", to: "    if score then return end\n",
		pkg: "internal/broker", run: "ClaimEnds",
	},
	{
		name: "entries that come together are for one worker", file: lua + "scatter.lua",
		from: "meta[10], queue.entries == 1)", to: "meta[10], true)",
		pkg: "internal/broker", run: "SeveralEntriesAreForAllWorkers",
	},
	{
		name: "a claim without a worker that takes it over stays", file: lua + "ring.lua",
		from: "    if is_single(score) and not rung then enqueue(ARGV[1], ready, queue, true) end -- for the next one that asks\n", to: "",
		pkg: "internal/broker", run: "ClaimIsPassedOn",
	},
	{
		name: "a stage before a changed one keeps its revision", file: lua + "lib_rings.lua",
		from: "    if i > #queues then revise(prefix, queue) end\n", to: "",
		pkg: "internal/broker", run: "FewWorkersAreToldOfStages",
	},
	{
		name: "a worker waits at the queues of many stages", file: "internal/worker/rings.go",
		from: "	if !wide(stages, workers) && !f.reader.Shared() {\n", to: "	if stages+workers >= 0 {\n",
		pkg: "workers", run: "WayToWaitFollowsTheStages",
	},
	{
		name: "a worker waits for rings beside few stages", file: "internal/worker/ready.go",
		from: "	if narrow(reply.Stages, reply.Workers) && !f.reader.Shared() {\n", to: "	if false {\n",
		pkg: "workers", run: "WayToWaitFollowsTheStages",
	},
	{
		name: "slots go on beyond a bound at rings", file: "internal/worker/ready.go",
		from: "	return !s.atRings.Load() || r.goneOn.Add(1) <= mostGoneOn\n", to: "	return true\n",
		pkg: "bridge", run: "ASlotDoesNotGoOnBeyondABound", tags: "rings",
	},
	{
		name: "a range without an item is never delivered", file: "internal/consumer/loop.go",
		from: "		l.tracker.cover(rg)\n", to: "",
		pkg: "flow", run: "WindowMovesOver",
	},
	{
		name: "a mark moves to the last delivered item only", file: "internal/consumer/range.go",
		from: "	case i == len(rg.positions):\n		return rg.To\n", to: "	case i == len(rg.positions):\n		return rg.offset(i-1) + 1\n",
		pkg: "flow", run: "WindowMovesOver",
	},
	{
		name: "an item behind a filter has the offset of its place in the frame", file: "internal/runner/counts.go",
		from: "return int(c.positions[i])", to: "return i",
		pkg: "internal/runner", run: "FunctionsRunOnCountedBatches|ItemsOfCountedBatches",
	},
	{
		name: "a filter forgets what an earlier one has left out", file: "internal/runner/filterrunner.go",
		from: "r.own[i] = in.positions[at]", to: "r.own[i] = at",
		pkg: "internal/runner", run: "FunctionsRunOnCountedBatches",
	},
	{
		name: "items of a counted batch are counted by its offsets", file: lua + "complete.lua",
		from: "e.stamp, out.kind, out.data, out.count)", to: "e.stamp, out.kind, out.data)",
		pkg: "flow", run: "SurvivesKilledWorker",
	},
	{
		name: "old workers run stages behind a filter", file: "internal/broker/stage.go",
		from: "		return 3\n", to: "		return 1\n",
		pkg: "flow", run: "OldPrograms",
	},
	{
		name: "a queue behind a filtered one has version 1", file: "executor/stage.go",
		from: "if s.counted || slices.ContainsFunc(ins, broker.Queue.Counted) {", to: "if s.counted {",
		pkg: "flow", run: "OldPrograms",
	},
	{
		name: "counts have several forms", file: "internal/batch/counts.go",
		from: "merges := r.n > 0 && r.last.each == next.each && next.each < 2", to: "merges := false",
		pkg: "internal/batch", run: "MalformedCounts",
	},
	{
		name: "the last function of a chain is never fused", file: "internal/worker/fuse.go",
		from: "(second.Maps() || second.Kind == broker.KindFuture)", to: "second.Maps()",
		pkg: "executor", run: "^TestChain$",
	},
	{
		name: "the context of a canceled future goes on before the last function of a chain", file: "internal/worker/slots.go",
		from: "Single: r.stage.Reply != \"\",", to: "Single: r.stage.Kind == broker.KindFuture,",
		pkg: "executor", run: "ChainIsCanceled",
	},
	{
		name: "a future is lost while its item is behind the first function of a chain", file: "executor/mailbox.go",
		from: "found = found || backlog.Entries > 0", to: "found = backlog.Entries > 0\n		break",
		pkg: "executor", run: "ChainIsLost",
	},
	{
		name: "a chain goes on without one of its queues", file: "executor/mailbox.go",
		from: "return false, m.c.DeleteAll(ctx, queues)", to: "continue",
		pkg: "executor", run: "ChainWithoutOne",
	},
	{
		name: "a removed stage stays paused in its successor", file: "internal/broker/stage.go",
		from: "	if old.Pause != nil && !old.Removed() {", to: "	if old.Pause != nil {",
		pkg: "executor", run: "Remov",
	},
	{
		name: "a removed stage makes no way", file: "internal/broker/stage.go",
		from: " || conflict.Old.Removed() && conflict.sameInputs())", to: ")",
		pkg: "executor", run: "Remov",
	},
	{
		name: "another function goes on in another queue", file: "executor/stage.go",
		from: "!s.replace && !old.Removed() {", to: "!s.replace {",
		pkg: "executor", run: "Remov",
	},
	{
		name: "a stage is removed while its calls run", file: "executor/remove.go",
		from: "case err == nil && backlog.Running == 0:", to: "case err == nil:",
		pkg: "executor", run: "Remov",
	},
	{
		name: "an inserted stage is behind no queue", file: lua + "insert.lua",
		from: ", 's:' .. ARGV[1], 1)", to: ")",
		pkg: "executor", run: "Insert",
	},
	{
		name: "the stage behind an inserted one keeps its queue", file: lua + "insert.lua",
		from: "ARGV[2], ARGV[6], ARGV[8])\ntell_stage", to: "ARGV[2])\ntell_stage",
		pkg: "executor", run: "Insert",
	},
	{
		name: "a stage is inserted in front of a changed one", file: lua + "insert.lua",
		from: "if records[2] ~= ARGV[7] or", to: "if",
		pkg: "internal/broker", run: "InsertIsRefused",
	},
	{
		name: "a long derived name is cut", file: "executor/stage.go",
		from: "return name[:broker.MaxName-len(hash)] + hash", to: "_ = hash\n\treturn name[:broker.MaxName]",
		pkg: "executor", run: "LongDerived",
	},
	{
		name: "calls of a limited stage wait until a clock that has jumped is back", file: lua + "lib_limits.lua",
		from: ", last > bucket.full\n", to: ", false\n",
		pkg: "integration/limits", run: "LimitsHoldWhenClockJumps",
	},
	{
		name: "a completed call of a limited stage frees no place", file: lua + "complete.lua",
		from: "freed[e.meta] = true", to: "freed[e.meta] = nil",
		pkg: "integration/limits", run: "MaxConcurrencyHolds",
	},
	{
		name: "a limited stage has places without a bound", file: lua + "take.lua",
		from: "limits.most - calls_held(ARGV[5], name, limits)", to: "limits.most",
		pkg: "integration/limits", run: "MaxConcurrencyHolds",
	},
	{
		name: "a deleted flow leaves the keys of its limits", file: lua + "delete_flow.lua",
		from: "  if q.limits then drop_limits(prefix, q.name) end\n", to: "",
		pkg: "integration/limits", run: "MaxConcurrencyHolds",
	},
	{
		name: "a queue expires although a look was late", file: lua + "expire.lua",
		from: " or late > time / 2 or late < -time then", to: " then",
		pkg: "internal/broker", run: "LateLookBeginsAnew",
	},
	{
		name: "a merged flow expires under another one", file: lua + "expire.lua",
		from: "do used = used or other ~= root end", to: "do local _ = other end",
		pkg: "bridge", run: "OtherQueuesDoNotExpire",
	},
	{
		name: "a queue expires while a worker runs its items", file: lua + "expire.lua",
		from: "do used = used or held(prefix .. kind .. name) end", to: "do local _ = kind end",
		pkg: "bridge", run: "ExpiresOnceNoProcessUsesItsFlow",
	},
	{
		name: "a queue expires under a gather", file: lua + "expire.lua",
		from: "  used = used or q[3] and redis.call('ZSCORE', KEYS[2], q[3])\n", to: "",
		pkg: "bridge", run: "ExpiresOnceNoProcessUsesItsFlow",
	},
	{
		name: "work without a process between two looks does not count", file: lua + "expire.lua",
		from: "if used or state ~= before or late", to: "if used or late",
		pkg: "bridge", run: "Expire",
	},
	{
		name: "private results go to the last queue of the flow", file: lua + "complete.lua",
		from: "q.stream, out.private = out.stream, place(out)", to: "q.stream = out.stream",
		pkg: "bridge", run: "PrivateResultsGoToTheirScatter",
	},
	{
		name: "a deleted private queue leaves its source", file: lua + "delete_flow.lua",
		from: "  forget_private(prefix, q.flow, q.name)\n", to: "",
		pkg: "bridge", run: "Private",
	},
	{
		name: "the gather of a private queue waits for other sources", file: lua + "watch.lua",
		from: "(private or root[1] == '1') and 'sealed'", to: "root[1] == '1' and 'sealed'",
		pkg: "bridge", run: "PrivateResultsGoToTheirScatter",
	},
	{
		name: "the window of a source is held by results that are private", file: lua + "lib.lua",
		from: "(queue == last and private or queue) .. branch", to: "queue .. branch",
		pkg: "bridge", run: "Private",
	},
	{
		name: "each worker of a large fleet looks as often as one of a small fleet", file: "internal/worker/rings.go",
		from: "readWait*time.Duration(fleet)/restLooks), maxRest)", to: "readWait*time.Duration(fleet)/restLooks), readWait)",
		pkg: "internal/worker", run: "LargeFleet",
	},
	{
		name: "a cycle ends while an item is fed back", file: "executor/feeder.go",
		from: "		if idle && len(items) == 0 {", to: "		if idle {",
		pkg: "flow", run: "FeedbackEndsWhenNothingIsUnderWay",
	},
	{
		name: "a cycle looks at its results after the items that these have added", file: "executor/feeder.go",
		from: "		idle := seeds == nil && f.results.DeliveredUpTo(f.feed.Source().Name) == f.feed.Next()\n		items := f.fedBack.take() // after the look at the results: a delivered result has added its items\n",
		to:   "		items := f.fedBack.take()\n		idle := seeds == nil && f.results.DeliveredUpTo(f.feed.Source().Name) == f.feed.Next()\n",
		pkg:  "flow", run: "FeedbackEndsWhenNothingIsUnderWay",
	},
	{
		name: "a cycle does not see the loss of its last items", file: "executor/feeder.go",
		from: "if next := f.feed.Next(); next > 0 {", to: "if next := f.feed.Next(); next < 0 {",
		pkg: "flow", run: "FeedbackEndsAfterItsTailWasLost",
	},
	{
		name: "a cycle goes on without its deleted queue", file: "executor/cycle.go",
		from: "	detach := c.watch(stop)\n", to: "	detach := c.watch(func(error) {})\n",
		pkg: "flow", run: "FeedbackThatEndsEarly",
	},
	{
		name: "a body with a queue of its own is taken for a cycle", file: "executor/feedback.go",
		from: "!slices.Equal(from, []string{in.q.Name})", to: "len(from) == 0",
		pkg: "flow", run: "FeedbackRefusesOtherBodies",
	},
}
