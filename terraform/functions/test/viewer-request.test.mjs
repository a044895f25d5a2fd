// What viewer-request.js promises, each case in Node's vm and in njs: `node --test terraform/functions/test/`.
//
// Owns the examples and the properties; how an event gets into an engine is cloudfront.mjs. Random input is made from a
// fixed seed, so that a failure comes back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { CODE_BYTES_MAX, checkShape, load, viewerRequest } from './cloudfront.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const file = path.join(here, '..', 'viewer-request.js');
const engines = Object.entries(load(file));

/** One test per engine; `check` gets a function from a list of events to a list of checked results. */
function inBoth(name, check) {
  for (const [engine, run] of engines) {
    test(`${name} (${engine})`, () => {
      check((events) => {
        const results = run(events);
        results.forEach(checkShape);
        return results;
      });
    });
  }
}

const get = (uri) => viewerRequest(uri);
const head = (uri) => viewerRequest(uri, { method: 'HEAD' });

// A generator of 32 bits (mulberry32): the same numbers in every run.
function randomFrom(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
const pick = (random, list) => list[random(list.length)];
const join = (random, list, least, most) =>
  Array.from({ length: least + random(most - least + 1) }, () => pick(random, list)).join('');

const UNTOUCHED = [
  '/artifacts/agent/1.4.2/agent-linux-x86_64.tar.zst',
  '/artifacts/agent/1.4.2/release.json',
  '/artifacts/agent/1.0.0+build.7~rc1/libfoo_1%253a2.0%2Bb1~rc1_amd64.deb',
  '/artifacts/agent/1.0/a%2Bb+c~d',
  '/artifacts/agent/1.0/100%25.bin',
  '/artifacts/agent/1.0/a%2Fb',
  '/artifacts/agent/1.0/%E6%97%A5%E6%9C%AC.bin',
  '/artifacts/agent/1.0/日本.bin',
  '/artifacts/agent/1.0/%zz%',
  '/artifacts/agent/1.0/a%3Fversion%3D1',
  '/artifacts/agent/1.0/.headwater/x', // a legal name of an artifact (src/store/s3.rs)
  '/artifacts/agent/1.0/deep/.headwater',
  '/artifacts/agent/1.0/retired.json/x',
  '/artifacts/agent/1.0/deep/retired.json',
  '/artifacts/agent.headwater/1.0/x',
  '/artifacts/agent/.headwater-notes/x',
  '/artifacts/agent/1.0/%252eheadwater',
  '/artifacts/agent/%252eheadwater/lease/1.0', // decoded once it is `%2eheadwater`, which is no private folder
  '/channels/agent/stable.json',
  '/channels/agent/stable/agent-linux-x86_64.tar.zst',
  '/channels/agent/retired.json', // the channel `retired`
  '/healthz',
  '/favicon.ico',
  '//',
  '/artifacts/',
  '/artifacts/../',
  '/../../artifacts/agent/1.0/.headwater/x',
];

const HIDDEN = [
  '/.headwater',
  '/.headwater/',
  '/.headwater/lease/x',
  '/artifacts/.headwater/lease/x',
  '/channels/.headwater/x',
  '/artifacts/agent/.headwater',
  '/artifacts/agent/.headwater/lease/1.0',
  '/artifacts/agent/.headwater/upload/1.0/1-2-3',
  '/artifacts/agent/%2eheadwater/lease/1.0',
  '/artifacts/agent/%2Eheadwater/lease/1.0',
  '/artifacts/agent/%2e%68eadwater/lease/1.0',
  '/artifacts/agent/%2E%68%65%61%64%77%61%74%65%72/lease/1.0',
  '/artifacts/agent%2F.headwater/lease/1.0',
  '/artifacts/agent%2f.headwater%2flease%2f1.0',
  '/artifacts%2Fagent%2F.headwater%2Flease%2F1.0',
  '/artifacts/agent//.headwater/lease/1.0',
  '/artifacts/agent/./.headwater/lease/1.0',
  '//artifacts/agent/.headwater/lease/1.0',
  '/artifacts/agent/1.0/../.headwater/lease/1.0',
  '/artifacts/agent/1.0/%2e%2e/.headwater/lease/1.0',
  '/x/../artifacts/agent/.headwater/lease/1.0',
  '/../artifacts/agent/.headwater/lease/1.0',
  '/artifacts/agent/.headwater/%FF',
  '/artifacts/agent/.headwater/%zz',
  '/artifacts/agent/.headwater/日本',
  '/artifacts/agent/1.0/retired.json',
  '/artifacts/agent/1.0/%72etired.json',
  '/artifacts/agent/1.0%2Fretired.json',
];

test('the code is within the quota', () => {
  assert.ok(fs.statSync(file).size <= CODE_BYTES_MAX);
});

test('code over the quota, and an import, are refused before any event', () => {
  const folder = fs.mkdtempSync('/tmp/cloudfront-function-test-');
  const write = (text) => {
    const at = path.join(folder, 'f.js');
    fs.writeFileSync(at, text);
    return at;
  };
  try {
    assert.throws(() => load(write(' '.repeat(CODE_BYTES_MAX + 1))), /at most 10240/);
    assert.doesNotThrow(() => load(write(' '.repeat(CODE_BYTES_MAX))));
    assert.throws(() => load(write("import fs from 'fs';\n")), /no module/);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('the shapes that CloudFront answers with 502 are found', () => {
  const shaped = (change) => checkShape({ statusCode: 200, statusDescription: 'OK', headers: {}, ...change });
  assert.doesNotThrow(() => shaped({}));
  assert.throws(() => shaped({ statusCode: '200' }));
  assert.throws(() => shaped({ statusCode: 99 }));
  assert.throws(() => shaped({ headers: { Allow: { value: 'GET' } } }), /lower case/);
  assert.throws(() => shaped({ headers: { allow: 'GET' } }), /value/);
  assert.throws(() => shaped({ headers: { 'content-length': { value: '3' } } }), /may not write/);
  assert.throws(() => shaped({ body: 'text' }));
  assert.throws(() => checkShape({ uri: 'artifacts', method: 'GET' }));
});

test('an engine without the globals of CloudFront refuses what it lacks', () => {
  const folder = fs.mkdtempSync('/tmp/cloudfront-function-test-');
  try {
    const at = path.join(folder, 'f.js');
    fs.writeFileSync(at, 'function handler(event) { new Map(); return event.request; }\n');
    for (const run of Object.values(load(at))) {
      assert.throws(() => run([get('/')]), /Map/);
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

inBoth('a URI that is not refused stays byte for byte what it was', (run) => {
  run(UNTOUCHED.map(get)).forEach((result, i) => {
    assert.deepEqual(result, get(UNTOUCHED[i]).request, UNTOUCHED[i]);
  });
});

inBoth('a query string is taken away and nothing else', (run) => {
  const request = {
    querystring: { versionId: { value: 'x' }, acl: { value: '' }, a: { value: '1', multiValue: [{ value: '1' }] } },
    headers: { range: { value: 'bytes=0-9' }, 'if-range': { value: '"e"' }, 'user-agent': { value: 'device' } },
    cookies: { id: { value: '7' } },
  };
  const [result] = run([viewerRequest('/artifacts/agent/1.0/x', request)]);
  assert.deepEqual(result, { method: 'GET', uri: '/artifacts/agent/1.0/x', ...request, querystring: {} });
});

inBoth('nothing of the device changes the answer', (run) => {
  const as = (uri, method, viewer) => ({
    ...viewerRequest(uri, {
      method,
      headers: { 'user-agent': { value: viewer }, authorization: { value: viewer } },
      cookies: { id: { value: viewer } },
    }),
    viewer: { ip: viewer },
  });
  for (const [uri, method] of [['/', 'GET'], ['/.headwater/x', 'GET'], ['/x', 'POST']]) {
    const [one, other] = run([as(uri, method, '192.0.2.1'), as(uri, method, '2001:db8::1')]);
    assert.deepEqual(one, other);
    assert.equal(JSON.stringify(one).includes('192.0.2.1'), false);
  }
});

inBoth('the root is a short cacheable text that names nothing', (run) => {
  const [page] = run([get('/')]);
  assert.equal(page.statusCode, 200);
  assert.equal(page.headers['content-type'].value, 'text/plain; charset=utf-8');
  assert.equal(page.headers['cache-control'].value, 'public, max-age=3600');
  assert.equal(page.headers['x-content-type-options'].value, 'nosniff');
  assert.ok(page.body.data.length < 200 && page.body.data.endsWith('.\n'));
  assert.doesNotMatch(page.body.data, /aws|amazon|cloudfront|s3|bucket|headwater|terraform|\d/i);
});

inBoth('stored objects without a URL are not found', (run) => {
  run(HIDDEN.map(get)).forEach((result, i) => {
    assert.equal(result.statusCode, 404, HIDDEN[i]);
    assert.deepEqual(JSON.parse(result.body.data), {
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      detail: 'Nothing is published under this URL.',
    });
    assert.equal(result.headers['content-type'].value, 'application/problem+json');
    assert.equal(result.headers['cache-control'].value, 'public, max-age=1');
  });
});

inBoth('HEAD gets the head of GET and no content', (run) => {
  for (const uri of ['/', '/artifacts/agent/.headwater/lease/1.0']) {
    const [whole, only] = run([get(uri), head(uri)]);
    assert.ok(whole.body.data.length > 0);
    delete whole.body;
    assert.deepEqual(only, whole);
  }
  const [passed] = run([head('/artifacts/agent/1.0/x')]);
  assert.equal(passed.method, 'HEAD');
});

inBoth('every other method is refused, whatever the URL', (run) => {
  const uris = ['/', '/artifacts/agent/1.0/x', '/artifacts/agent/.headwater/lease/1.0', '/channels/agent/stable.json'];
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'get', 'PROPFIND']) {
    for (const result of run(uris.map((uri) => viewerRequest(uri, { method })))) {
      assert.equal(result.statusCode, 405, method);
      assert.equal(result.headers.allow.value, 'GET, HEAD');
      assert.equal(result.headers['cache-control'].value, 'no-store');
      assert.equal(JSON.parse(result.body.data).status, 405);
    }
  }
});

inBoth('text beyond ASCII beside escapes does not stop the engine', (run) => {
  // The shortest of the inputs on which a global replace never came back in njs 0.7.9.
  const uri = '/x../".headwater%2eheadwater日%2f';
  const [result] = run([get(uri)]);
  assert.equal(result.uri, uri);
});

inBoth('no legal URL of an artifact or a channel is refused or changed', (run) => {
  const random = randomFrom(5);
  const first = [...'abcxyz0189'];
  const rest = [...first, '.', '_', '-'];
  const versions = [...rest, 'A', '+', '~', '%2B', '%7E'];
  const escapes = ['%25', '%3a', '%3A', '%20', '%2e', '%2f', '%E6%97%A5', '%zz', '%'];
  const bytes = [...versions, ...escapes, 'ü', '日', "'", '(', '='];
  const uris = Array.from({ length: 2_000 }, () => {
    const product = pick(random, first) + join(random, rest, 0, 12);
    if (random(4) === 0) {
      return `/channels/${product}/${pick(random, first)}${join(random, rest, 0, 12)}.json`;
    }
    const version = pick(random, [...first, 'Z']) + join(random, versions, 0, 12);
    const name = () => pick(random, first) + join(random, bytes, 0, 12);
    const names = Array.from({ length: 1 + random(3) }, name);
    return `/artifacts/${product}/${version}/${names.join(random(8) === 0 ? '/.headwater/' : '/')}`;
  });
  run(uris.map(get)).forEach((result, i) => {
    assert.deepEqual(result, get(uris[i]).request, uris[i]);
  });
});

inBoth('whatever the URI, it is passed on as it was or answered 404', (run) => {
  const random = randomFrom(7);
  const parts = [
    '/', '/', '/', '%2F', '%2f', '.', '..', '%2e', '%2E', '%', '%%', '%2', '%C0%AE', '%00', '.headwater',
    '%2eheadwater', 'retired.json', 'artifacts', 'channels', 'agent', '1.0', '+', '~', '日', '\u{1F680}', '"', '\\',
    '?', '#',
  ];
  // A few parts are enough for a private path; many of them put what matters deep, where it is a legal name.
  const uris = Array.from({ length: 4_000 }, (_, i) => `/${join(random, parts, 1, i % 2 === 0 ? 4 : 12)}`);
  let refused = 0;
  run(uris.map(get)).forEach((result, i) => {
    if (uris[i] === '/') {
      assert.equal(result.statusCode, 200);
    } else if (result.statusCode === undefined) {
      assert.deepEqual(result, get(uris[i]).request, uris[i]);
    } else {
      assert.equal(result.statusCode, 404, uris[i]);
      assert.match(uris[i], /(\.|%2e)headwater|retired\.json/);
      refused += 1;
    }
  });
  assert.ok(refused > 100 && refused < 3_900, `${refused} of ${uris.length} refused: the input tests one side only`);
});

test('both engines give the same answers', () => {
  const put = (uri) => viewerRequest(uri, { method: 'PUT' });
  const events = [...UNTOUCHED, ...HIDDEN, '/'].flatMap((uri) => [get(uri), head(uri), put(uri)]);
  const [one, other] = engines.map(([, run]) => run(events));
  assert.deepEqual(one, other);
});

test('the refusals are the origin’s, word for word', () => {
  const origin = fs.readFileSync(path.join(here, '../../../src/http/problem.rs'), 'utf8');
  const [, run] = engines[0];
  const refusals = [
    [get('/.headwater/x'), 'NotFound'],
    [viewerRequest('/', { method: 'PUT' }), 'MethodNotAllowed'],
  ];
  for (const [event, name] of refusals) {
    const [result] = run([event]);
    const { detail } = JSON.parse(result.body.data);
    assert.ok(origin.includes(`Self::${name} => "${detail}"`), `${name}: ${detail}`);
  }
});

test('the private names are those of the store', () => {
  const code = fs.readFileSync(file, 'utf8');
  const read = (name) => fs.readFileSync(path.join(here, '../../../src/store', name), 'utf8');
  const [, folder] = /const PRIVATE: &str = "([^"]+)"/.exec(read('s3/bucket.rs'));
  const [, depth] = /\.take\((\d)\)\.any\(\|segment\| segment == PRIVATE\)/.exec(read('s3.rs'));
  assert.ok(code.includes(`var PRIVATE_FOLDER = '${folder}';`));
  assert.ok(code.includes(`var PRIVATE_DEPTH_MAX = ${Number(depth) - 1};`));
});
