package workers

import "slices"

// A share is routes and how many entries may be taken from them.
type share struct {
	routes []*route
	budget int
}

// shares are those of the routes where batches are cheap, of which some may be
// in stock, and those of all others: one for each free hand. A dear entry
// may stand behind a stock, which is soon done.
func (in *intake) shares(routes []*route) (shares []share) {
	routes, shares = in.sharesOfCalls(routes)
	if in.held.Load() == 0 {
		return append(shares, share{routes, min(in.concurrency, in.free())})
	}
	cheap := share{budget: maxAhead * in.concurrency}
	dear := share{budget: min(in.concurrency-in.dear(), in.free())}
	for _, r := range routes {
		if ahead := int(r.ahead.Load()); ahead > 0 {
			cheap.routes, cheap.budget = append(cheap.routes, r), min(cheap.budget, ahead)
		} else {
			dear.routes = append(dear.routes, r)
		}
	}
	cheap.budget += in.concurrency - int(in.held.Load())
	if cheap.routes != nil {
		shares = append(shares, cheap)
	}
	if dear.routes != nil || dear.budget <= 0 { // all hands are busy for long
		shares = append(shares, dear)
	}
	return shares
}

// sharesOfCalls are the shares of the routes whose entries become a part of calls, if there
// may be many. It returns the other routes too.
func (in *intake) sharesOfCalls(routes []*route) (others []*route, shares []share) {
	isMany := func(r *route) bool { return r.joins() && !r.quiet() }
	if !slices.ContainsFunc(routes, isMany) {
		return routes, nil
	}
	for _, r := range routes {
		if isMany(r) {
			shares = append(shares, share{[]*route{r}, r.collected.want(in.calls(r), r.wish().items)})
		} else {
			others = append(others, r)
		}
	}
	return others, shares
}
