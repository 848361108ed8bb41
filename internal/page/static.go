package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed templates static
var assets embed.FS

// A file is a static file under a name that contains its hash.
type file struct {
	kind         string
	text, zipped []byte
}

// staticFiles returns the files by their names with hashes.
var staticFiles = sync.OnceValue(func() map[string]file {
	entries, err := assets.ReadDir("static")
	if err != nil {
		panic(err) // the files are part of the program
	}
	files := map[string]file{}
	for _, e := range entries {
		if path.Ext(e.Name()) == ".LICENSE" {
			continue
		}
		text, err := assets.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		files[hashed(e.Name(), text)] = file{mime.TypeByExtension(path.Ext(e.Name())), text, zip(text)}
	}
	return files
})

// hashed returns a name that changes with the text.
func hashed(name string, text []byte) string {
	sum := sha256.Sum256(text)
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
}

func zip(text []byte) []byte {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(text) // a Buffer returns no error
	_ = w.Close()
	return zipped.Bytes()
}

// asset returns the path of a static file.
func (p *Page) asset(name string) string {
	stem, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	for hashed := range p.files {
		if strings.HasPrefix(hashed, stem+".") && path.Ext(hashed) == ext {
			return p.Prefix + "/static/" + hashed
		}
	}
	return ""
}

func (p *Page) static(w http.ResponseWriter, r *http.Request) {
	f, ok := p.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(f.zipped) // the client is gone
		return
	}
	_, _ = w.Write(f.text)
}
