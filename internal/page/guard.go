package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// sessionCookie holds the proof that a user has entered the token.
const sessionCookie = "dq_session"

// policy lets a page use its own files only, and no script or style inside of a page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers that each response has. The referrer policy lets the browser send the
// origin with a form, which no-referrer would replace by null.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// hostNames returns the names by which a browser may reach the page. Another name may belong to a
// foreign page whose address was changed to that of this machine.
func hostNames(names []string) map[string]bool {
	all := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, name := range names {
		all[strings.ToLower(name)] = true
	}
	return all
}

// hostOf returns the name in a Host header, without its port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		header = host
	}
	return strings.ToLower(strings.Trim(header, "[]"))
}

// sameOrigin reports whether a browser sent the request from a page of the same host and port.
func sameOrigin(r *http.Request) bool {
	from, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && from.Host != "" && strings.EqualFold(from.Host, r.Host)
}

// sign returns a text that only this process can make.
func (p *Page) sign(purpose, text string) string {
	mac := hmac.New(sha256.New, p.Secret)
	mac.Write([]byte(purpose + "\x00" + text))
	return hex.EncodeToString(mac.Sum(nil))
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// formToken returns the token of the forms in the pages of a user.
func (p *Page) formToken(r *http.Request) string {
	session := ""
	if c, err := r.Cookie(sessionCookie); err == nil {
		session = c.Value
	}
	return p.sign("form", session)
}

// signedIn reports whether the user has entered the token, or a program sent it.
func (p *Page) signedIn(r *http.Request) bool {
	if p.Token == "" {
		return true
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return equal(bearer, p.Token)
	}
	c, err := r.Cookie(sessionCookie)
	return err == nil && equal(c.Value, p.sign("session", p.Token))
}

// open reports whether a request needs no token.
func (p *Page) open(r *http.Request) bool {
	path := strings.TrimPrefix(r.URL.Path, p.Prefix)
	return path == health || path == "/login" || strings.HasPrefix(path, "/static/")
}

// refuse answers a user who has not entered the token.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, p.Prefix+"/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, "This page needs a token.", http.StatusUnauthorized)
}

func (p *Page) askToken(w http.ResponseWriter, r *http.Request) {
	f := p.frame(r, view{title: "Sign in", template: "login"}, nil)
	f.Content = p.local(r.URL.Query().Get("to"))
	p.write(w, http.StatusOK, "bare", f)
}

// login compares the token of the form and sets the cookie.
func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	to := p.local(r.PostFormValue("to"))
	if p.Token == "" || !equal(strings.TrimSpace(r.PostFormValue("token")), p.Token) {
		f := p.frame(r, view{title: "Sign in", template: "login"}, nil)
		f.Content, f.Problem = to, "This is not the token."
		p.write(w, http.StatusForbidden, "bare", f)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: p.sign("session", p.Token), Path: p.Prefix + "/", HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// local returns a path of this page, or the home page for an address that is none.
func (p *Page) local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, p.Prefix+"/") || strings.HasPrefix(u.Path, "//") || strings.Contains(address, "\\") {
		return p.Prefix + "/"
	}
	return u.RequestURI()
}
