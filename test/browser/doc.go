// Package browser looks at the pages that people see with a real Chromium, as a phone in WeChat shows them: the real
// gateway in front of the real store, and the platform's twin in the place of WeChat. It has tests only.
//
// A test opens a town, takes phones in it, and taps, reads and types as people do. Phones refuse to go anywhere but to
// the gateway and the twin, and a request to anybody else fails the test. What a phone shows is kept for people to look
// at in dist/screenshots.
package browser
