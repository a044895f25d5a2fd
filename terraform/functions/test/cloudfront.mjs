// Runs a CloudFront Function offline, each event in two engines, and checks what CloudFront checks at run time.
//
// Owns the imitation of the runtime: Node's vm without the globals that cloudfront-js-2.0 lacks, and Debian's njs, an
// engine of the same family that refuses syntax and built-ins which Node would let pass. Never reaches the network.
// Neither engine is CloudFront: what both accept is likely, not certain, to run there (`aws cloudfront test-function`
// is the last word). A function with a key-value store needs more than this file knows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import vm from 'node:vm';

// Fact 72: the quota of a function's code.
export const CODE_BYTES_MAX = 10_240;

// What `node` has and cloudfront-js-2.0 has not.
const MISSING_GLOBALS = [
  'Intl', 'Map', 'Proxy', 'Reflect', 'Set', 'SharedArrayBuffer', 'WeakMap', 'WeakRef', 'WeakSet', 'WebAssembly',
];

// CloudFront answers 502 when a function adds one of these, or writes one of the last five (Developer Guide,
// "Restrictions on all edge functions"). A name that ends in `-` stands for all that begin so.
const FORBIDDEN_HEADERS = [
  'connection', 'expect', 'keep-alive', 'proxy-', 'trailer', 'upgrade', 'x-accel-', 'x-amz-cf-', 'x-amzn-', 'x-cache',
  'x-edge-', 'x-real-ip', 'cdn-loop', 'content-length', 'host', 'transfer-encoding', 'via',
];
const isForbidden = (name) =>
  FORBIDDEN_HEADERS.some((one) => (one.endsWith('-') ? name.startsWith(one) : name === one));

// No answer of a function takes this long; only a loop without an end does.
const NODE_MILLISECONDS_MAX = 1_000;
const NJS_MILLISECONDS_MAX = 30_000;

/** Reads a function; refuses what CloudFront would refuse at creation. */
export function load(file) {
  const code = fs.readFileSync(file, 'utf8');
  const size = Buffer.byteLength(code);
  if (size > CODE_BYTES_MAX) {
    throw new Error(`${file}: ${size} bytes; CloudFront takes at most ${CODE_BYTES_MAX}`);
  }
  if (/^\s*(import|export)\b/m.test(code)) {
    throw new Error(`${file}: no module can be imported, and nothing exported`);
  }
  return { node: (events) => inNode(code, file, events), njs: (events) => inNjs(code, events) };
}

/** A viewer-request event as the Developer Guide describes it. */
export function viewerRequest(uri, request = {}) {
  return {
    version: '1.0',
    context: {
      distributionDomainName: 'd111111abcdef8.cloudfront.net',
      distributionId: 'EDFDVBD6EXAMPLE',
      eventType: 'viewer-request',
      requestId: 'EXAMPLEntjQpEXAMPLE',
    },
    viewer: { ip: '192.0.2.1' },
    request: { method: 'GET', uri, querystring: {}, headers: {}, cookies: {}, ...request },
  };
}

/** Refuses a return value that CloudFront would answer with 502. */
export function checkShape(result) {
  if ('statusCode' in result) {
    assert.ok(Number.isInteger(result.statusCode), 'statusCode is an integer');
    assert.ok(result.statusCode >= 200 && result.statusCode <= 599, `statusCode ${result.statusCode}`);
    assert.equal(typeof result.statusDescription, 'string');
    if (result.body !== undefined) {
      assert.deepEqual(Object.keys(result.body).sort(), ['data', 'encoding']);
      assert.ok(['text', 'base64'].includes(result.body.encoding));
      assert.equal(typeof result.body.data, 'string');
    }
    for (const name of Object.keys(result.headers ?? {})) {
      assert.ok(!isForbidden(name), `a function may not write ${name}`);
    }
  } else {
    assert.equal(typeof result.uri, 'string');
    assert.ok(result.uri.startsWith('/'), `uri ${result.uri}`);
    assert.equal(typeof result.method, 'string');
  }
  for (const [name, field] of Object.entries(result.headers ?? {})) {
    assert.equal(name, name.toLowerCase(), 'header names are lower case');
    assert.equal(typeof field.value, 'string', `${name} is { value: string }`);
  }
}

function inNode(code, file, events) {
  const realm = vm.createContext({ console: { log() {} } }, { codeGeneration: { strings: false, wasm: false } });
  for (const name of MISSING_GLOBALS) {
    vm.runInContext(`delete globalThis.${name}`, realm);
  }
  vm.runInContext(`"use strict";\n${code}\n;globalThis.run = handler;`, realm, { filename: file });
  return events.map((event) => {
    realm.input = JSON.stringify(event);
    const output = vm.runInContext('JSON.stringify(run(JSON.parse(input)))', realm, { timeout: NODE_MILLISECONDS_MAX });
    return JSON.parse(output);
  });
}

// One process for all events of a call: a start of njs per event would make the property tests slow.
function inNjs(code, events) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloudfront-function-'));
  try {
    const script = path.join(folder, 'function.js');
    const inputs = events.map((event) => toAscii(JSON.stringify(JSON.stringify(event))));
    fs.writeFileSync(
      script,
      `${code}\n;[\n${inputs.join(',\n')}\n].forEach(function (input) {
        console.log('@' + JSON.stringify(handler(JSON.parse(input))));
      });\n`,
    );
    const { status, stdout, stderr, error } = spawnSync('njs', [script], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: NJS_MILLISECONDS_MAX,
    });
    if (error) {
      throw new Error(`cannot run njs, Debian's package of that name: ${error.message}`);
    }
    const lines = stdout.split('\n').filter((line) => line.startsWith('@'));
    if (status !== 0 || lines.length !== events.length) {
      throw new Error(`njs: ${(stdout + stderr).trim()}`);
    }
    return lines.map((line) => JSON.parse(line.slice(1)));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

// njs finds a character of a string that is not ASCII by counting from its start, which makes long literals slow.
function toAscii(json) {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
