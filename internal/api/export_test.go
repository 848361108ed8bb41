package api

// A Documented is a route with what its documentation says.
type Documented struct {
	Path, About string
	Query       []string
	Answer      any
}

// Routes returns all routes.
func Routes() (all []Documented) {
	for _, r := range routes() {
		all = append(all, Documented{Prefix + r.path, r.about, r.query, r.answer})
	}
	return all
}

// Failure is the body of an answer with an error.
type Failure = failure
