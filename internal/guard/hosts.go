package guard

import "strings"

// insideHost tells whether host, an expression, is a name or address that the policy lists,
// or one of the cluster.
func (c compiler) insideHost(host string) string {
	var exact, suffixes []string
	for _, h := range c.hosts {
		if strings.HasPrefix(h, ".") {
			suffixes = append(suffixes, h)
		} else {
			exact = append(exact, h)
		}
	}
	suffixes = append(suffixes, ".svc", ".svc.cluster.local")
	// a list of hosts ends like its last; a name that begins with a digit may be read as an address
	return "[" + host + "].all(h, h in " + list(append(exact, "localhost")) + " || (h.matches('^[a-zA-Z0-9.-]+$') && " + list(suffixes) + ".exists(s, h.endsWith(s))) || " +
		"h.matches('^[a-z][a-z0-9-]*$') || (isIP(h) && " + list(c.cidrs) + ".exists(n, cidr(n).containsIP(h))))"
}

// hostOf takes the host out of address, an expression for a URL or a host with a port. What
// follows the host may name another one: it ends where the first client would end it.
func hostOf(address string) string {
	return "[" + address + "].map(u, u.contains('://') ? u.split('://', 2)[1] : u).map(u, u.split('/')[0].split('?')[0].split('#')[0].split('\\\\')[0])" +
		".map(u, u.split('@')[size(u.split('@')) - 1].split(':')[0])[0]"
}
