package page

// Paths returns the paths of all views.
func Paths() (paths []string) {
	for _, v := range views {
		paths = append(paths, v.path)
	}
	return paths
}

// Acts returns the paths of all actions.
func Acts() (paths []string) {
	for name := range acts {
		paths = append(paths, "/act/"+name)
	}
	return paths
}

// Assets returns the paths of all static files.
func (p *Page) Assets() (paths []string) {
	for name := range p.files {
		paths = append(paths, p.Prefix+"/static/"+name)
	}
	return paths
}
