import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { envoy } from "../../proto/gen/mesh.js";
import { MeshError } from "../../src/errors.ts";
import { ADDRESS_TYPE } from "../../src/xds/resource.ts";
import { decodeDeltaRequest, encodeDeltaResponse, toResource } from "../../src/xds/wire.ts";

const { DeltaDiscoveryRequest, DeltaDiscoveryResponse } = envoy.service.discovery.v3;

const texts = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 5 });
const names = fc.string({ unit: "grapheme" }).filter((name) => name !== "__proto__");

test("a request read by hand says what the generated codec wrote", () => {
  fc.assert(
    fc.property(
      fc.record({
        typeUrl: fc.string(),
        subscribe: texts,
        unsubscribe: texts,
        versions: fc.dictionary(names, fc.string(), { maxKeys: 8, noNullPrototype: true }),
        nonce: fc.string(),
        rejection: fc.option(fc.string(), { nil: undefined }),
        metadata: fc.dictionary(names, fc.string(), { maxKeys: 4, noNullPrototype: true }),
      }),
      ({ typeUrl, subscribe, unsubscribe, versions, nonce, rejection, metadata }) => {
        const fields = Object.fromEntries(Object.entries(metadata).map(([key, stringValue]) => [key, { stringValue }]));
        const bytes = DeltaDiscoveryRequest.encode({
          node: { id: "ztunnel~1.1.1.1~a.b~c", metadata: { fields } },
          typeUrl,
          resourceNamesSubscribe: subscribe,
          resourceNamesUnsubscribe: unsubscribe,
          initialResourceVersions: versions,
          responseNonce: nonce,
          errorDetail: rejection === undefined ? null : { message: rejection },
        }).finish();
        const request = decodeDeltaRequest(bytes);
        assert.deepEqual([request.typeUrl, request.nonce, request.rejection], [typeUrl, nonce, rejection]);
        assert.deepEqual([request.subscribe, request.unsubscribe], [subscribe, unsubscribe]);
        assert.deepEqual(request.initialVersions, new Map(Object.entries(versions)));
        assert.deepEqual(request.node, { id: "ztunnel~1.1.1.1~a.b~c", metadata: new Map(Object.entries(metadata)) });
      },
    ),
  );
});

test("an ACK needs no more than a type and a nonce", () => {
  const bytes = DeltaDiscoveryRequest.encode({ typeUrl: ADDRESS_TYPE, responseNonce: "1-1" }).finish();
  const request = decodeDeltaRequest(bytes);
  assert.deepEqual([request.node, request.nonce, request.rejection], [undefined, "1-1", undefined]);
});

test("a NACK is one although its code is 0 and its text empty", () => {
  const bytes = DeltaDiscoveryRequest.encode({ typeUrl: ADDRESS_TYPE, responseNonce: "1-1", errorDetail: {} }).finish();
  assert.equal(decodeDeltaRequest(bytes).rejection, "");
});

test("fields that are not ours are skipped, of whatever wire type", () => {
  const ours = DeltaDiscoveryRequest.encode({ typeUrl: ADDRESS_TYPE }).finish();
  const unknown = [0x50, 0x01, 0x59, 1, 2, 3, 4, 5, 6, 7, 8, 0x62, 0x02, 9, 9, 0x6d, 1, 2, 3, 4];
  assert.equal(decodeDeltaRequest(Buffer.from([...unknown, ...ours, ...unknown])).typeUrl, ADDRESS_TYPE);
});

test("bytes that are no request are refused with an error, never more", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeDeltaRequest(bytes);
      } catch (error) {
        assert.ok(error instanceof MeshError && error.code === "invalid", String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("metadata nested five thousand deep is refused, not followed", () => {
  // A Value that holds a list that holds a Value, written from the inside out.
  let value: Buffer = Buffer.alloc(0);
  const wrap = (tag: number, inner: Buffer): Buffer => {
    const length: number[] = [];
    for (let rest = inner.length; ; rest >>>= 7) {
      length.push(rest > 127 ? (rest & 127) | 128 : rest);
      if (rest <= 127) break;
    }
    return Buffer.concat([Buffer.from([tag, ...length]), inner]);
  };
  for (let depth = 0; depth < 5_000; depth += 1) value = wrap(0x32, wrap(0x0a, value));
  const field = Buffer.concat([wrap(0x0a, Buffer.from("K")), wrap(0x12, value)]);
  const node = wrap(0x1a, wrap(0x0a, field));
  assert.throws(() => decodeDeltaRequest(wrap(0x0a, node)), MeshError);
});

test("a response is its head and the shared records, and decodes as one message", () => {
  const resources = ["a", "b"].map((name) => toResource(ADDRESS_TYPE, name, Buffer.from(name.repeat(50))));
  const records = resources.map(({ record }) => record);
  const response = { typeUrl: ADDRESS_TYPE, nonce: "1-1", records, recordsBytes: 0, resources: 2, removed: ["c"] };
  const parts = encodeDeltaResponse(response, "us");
  assert.ok(parts.slice(1).every((part, at) => part === records[at]));
  const message = DeltaDiscoveryResponse.decode(Buffer.concat(parts));
  assert.deepEqual([message.typeUrl, message.nonce, message.removedResources], [ADDRESS_TYPE, "1-1", ["c"]]);
  assert.equal(message.controlPlane!.identifier, "us");
  assert.deepEqual(
    message.resources.map(({ name, version }) => [name, version]),
    resources.map(({ name, version }) => [name, version]),
  );
});

test("a request of more names than any mesh has is refused before it is read to its end", () => {
  for (const field of ["\x1a\x00", "\x22\x00", "\x2a\x00"])
    assert.throws(
      () => decodeDeltaRequest(Buffer.alloc(4_000_002, field)),
      (error) =>
        error instanceof MeshError && error.code === "invalid" && /more than 2000000 names/.test(error.message),
    );
  assert.equal(decodeDeltaRequest(Buffer.alloc(4_000_000, "\x1a\x00")).subscribe.length, 2_000_000);
});
