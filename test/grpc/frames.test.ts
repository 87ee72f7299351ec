import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { MessageReader, messagePrefix } from "../../src/grpc/frames.ts";

const framed = (message: Uint8Array): Buffer => Buffer.concat([messagePrefix(message.length), message]);
const refusal = (code: string) => (error: unknown) => error instanceof MeshError && error.code === code;

test("messages come out as they went in, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 3000 })),
      fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1 }),
      (messages, cuts) => {
        const stream = Buffer.concat(messages.map(framed));
        const reader = new MessageReader(3000);
        const read: Uint8Array[] = [];
        for (let at = 0, cut = 0; at < stream.length; cut += 1) {
          const length = cuts[cut % cuts.length]!;
          read.push(...reader.push(stream.subarray(at, at + length)));
          at += length;
        }
        reader.finish();
        assert.deepEqual(
          read.map((message) => Buffer.from(message)),
          messages.map((message) => Buffer.from(message)),
        );
      },
    ),
  );
});

test("a message within one chunk is not copied", () => {
  const chunk = framed(Buffer.from("hello"));
  const [message] = new MessageReader(100).push(chunk);
  assert.equal(message!.buffer, chunk.buffer);
});

test("a message over the limit is refused by its prefix alone", () => {
  const reader = new MessageReader(100);
  assert.throws(() => reader.push(messagePrefix(101)), refusal("exhausted"));
  assert.throws(() => new MessageReader(100).push(Buffer.from([0, 255, 255, 255, 255])), refusal("exhausted"));
});

test("a compressed message is refused by its prefix alone", () => {
  assert.throws(() => new MessageReader(100).push(Buffer.from([1, 0, 0, 0, 1])), refusal("unsupported"));
});

test("a stream that ends within a message is refused", () => {
  for (const length of [1, 4, 5, 7]) {
    const reader = new MessageReader(100);
    reader.push(framed(Buffer.from("hello")).subarray(0, length));
    assert.throws(() => reader.finish(), refusal("internal"));
  }
});

test("a message in pieces is copied as they come, and keeps nothing of the reads they came in", () => {
  const reader = new MessageReader(2000);
  const message = Buffer.from(Array.from({ length: 2000 }, (_, at) => at % 251));
  const read: Uint8Array[] = [];
  for (const byte of framed(message)) {
    const chunk = Buffer.of(byte);
    read.push(...reader.push(chunk));
    // What is kept, not copied, changes with it.
    chunk.fill(255);
  }
  assert.deepEqual(read, [message]);
});
