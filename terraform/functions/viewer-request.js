// What the edge answers itself, before its cache is asked (a CloudFront Function, runtime cloudfront-js-2.0).
//
// Owns three refusals, the page at `/` and the end of query strings. Every other request goes on with the bytes of its
// URI untouched: the origin and the bucket decode it, each exactly once. Never looks at who asks (no header, no cookie,
// no address): the answer to a URL is the same for every device, which is what lets an edge cache it. Names nothing of
// the account. Never adds `content-length`, which CloudFront computes and functions may not write.

// The publisher's own folder: leases and notes about uploads. The origin has no URL for it; the failover bucket would.
var PRIVATE_FOLDER = '.headwater';

// Such a folder is private at the root, below `artifacts/` and below a product. Deeper it is a legal artifact name.
var PRIVATE_DEPTH_MAX = 2;

// Why a release's bytes were taken away: stored as artifacts/{product}/{version}/retired.json, never served.
var RETIREMENT = 'retired.json';
var RETIREMENT_DEPTH = 3;

// For the person who opens the bare host name, and for monitors that do. An hour, so that neither asks often.
var GREETING = 'This host distributes software updates to devices. There is no page to read here.\n';

function handler(event) {
    var request = event.request;
    var method = request.method;
    if (method !== 'GET' && method !== 'HEAD') {
        return problem(method, 405, 'Method Not Allowed', 'This origin only reads: use GET or HEAD.', 'no-store', {
            allow: { value: 'GET, HEAD' }
        });
    }
    if (request.uri === '/') {
        return answer(method, 200, 'OK', 'text/plain; charset=utf-8', GREETING, 'public, max-age=3600', {});
    }
    if (isPrivate(request.uri)) {
        // Word for word the origin's own 404 (src/http/problem.rs): nobody learns that there is something to hide.
        return problem(method, 404, 'Not Found', 'Nothing is published under this URL.', 'public, max-age=1', {});
    }
    // No answer depends on a query. Without one, nothing like `?versionId=` or `?acl` can reach the failover bucket,
    // and `?token=` of a curious script cannot split a cache whose key somebody widens later.
    request.querystring = {};
    return request;
}

// Whether the URI names an object that is stored but has no URL. Reads the path as S3 does, `%2F` included: a key has
// no segments, so that an escaped slash is a slash. Dots and empty segments, which no key has, count as somebody behind
// might resolve them: to refuse too much is safe here, as no legal name contains them.
function isPrivate(uri) {
    var segments = decodeOnce(uri).split('/');
    var depth = 0;
    for (var i = 0; i < segments.length; i++) {
        var segment = segments[i];
        if (segment === '' || segment === '.') {
            continue;
        }
        if (segment === '..') {
            depth = Math.max(depth - 1, 0);
            continue;
        }
        if (segment === PRIVATE_FOLDER && depth <= PRIVATE_DEPTH_MAX) {
            return true;
        }
        if (segment === RETIREMENT && depth === RETIREMENT_DEPTH && i === segments.length - 1) {
            return true;
        }
        depth++;
    }
    return false;
}

// Byte by byte, where decodeURIComponent throws at what is not UTF-8: the names that matter here are ASCII. Without a
// regular expression: engines of this family have hung in a global replace on text beyond ASCII (njs 0.7.9 does).
function decodeOnce(uri) {
    var parts = uri.split('%');
    var decoded = parts[0];
    for (var i = 1; i < parts.length; i++) {
        var part = parts[i];
        var code = parseInt(part.slice(0, 2), 16);
        // Only two hexadecimal digits make 16 or more. Control characters below stay escaped: no name here has one.
        decoded += code >= 16 ? String.fromCharCode(code) + part.slice(2) : '%' + part;
    }
    return decoded;
}

// RFC 9457 §4.2.1, in the words of the origin.
function problem(method, status, title, detail, cacheControl, more) {
    var document = '{"type":"about:blank","title":"' + title + '","status":' + status + ',"detail":"' + detail + '"}\n';
    return answer(method, status, title, 'application/problem+json', document, cacheControl, more);
}

function answer(method, status, phrase, contentType, text, cacheControl, more) {
    var response = { statusCode: status, statusDescription: phrase, headers: more };
    response.headers['content-type'] = { value: contentType };
    response.headers['cache-control'] = { value: cacheControl };
    response.headers['x-content-type-options'] = { value: 'nosniff' };
    // RFC 9110 §9.3.2: an answer to HEAD has no content.
    if (method !== 'HEAD') {
        response.body = { encoding: 'text', data: text };
    }
    return response;
}
