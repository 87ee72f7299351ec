import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import fc from "fast-check";
import { test } from "mocha";
import { messagePrefix } from "../../src/grpc/frames.ts";
import { Outbox } from "../../src/grpc/outbox.ts";

/** A stream that takes what it is given, and asks for a pause after so many writes. */
function sink(writesBeforeFull: number): { stream: ServerHttp2Stream; written: Uint8Array[]; drain: () => void } {
  const written: Uint8Array[] = [];
  let left = writesBeforeFull;
  const stream = {
    get writableNeedDrain() {
      return left === 0;
    },
    write(bytes: Uint8Array) {
      written.push(bytes);
      left -= 1;
      return left > 0;
    },
  } as ServerHttp2Stream;
  return { stream, written, drain: () => void (left = writesBeforeFull) };
}

test("messages arrive whole and in order, in pieces of 16 KiB at most, however often the stream is full", () => {
  const part = fc.integer({ min: 0, max: 40_000 }).map((length) => Buffer.alloc(length, length % 251));
  const messages = fc.array(fc.array(part, { maxLength: 6 }), { maxLength: 6 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 5 }), (sent, writesBeforeFull) => {
      const { stream, written, drain } = sink(writesBeforeFull);
      const outbox = new Outbox(stream);
      for (const parts of sent) assert.equal(outbox.push(parts), outbox.empty && !stream.writableNeedDrain);
      while (!outbox.empty) {
        drain();
        outbox.flush();
      }
      const whole = sent.flatMap((parts) => [messagePrefix(Buffer.concat(parts).length), ...parts]);
      assert.ok(Buffer.concat(written).equals(Buffer.concat(whole)));
      assert.ok(written.every(({ length }) => length <= 16 * 1024));
    }),
    { numRuns: 50 },
  );
});

test("what fills a piece by itself is not copied", () => {
  const { stream, written } = sink(100);
  const page = Buffer.alloc(100_000);
  new Outbox(stream).push([page]);
  assert.ok(written.slice(1).every(({ buffer }) => buffer === page.buffer));
});

test("a message of half a million records is one like any other", () => {
  const { stream, written } = sink(Infinity);
  const record = Buffer.alloc(20, 7);
  assert.ok(new Outbox(stream).push(Array.from({ length: 500_000 }, () => record)));
  assert.equal(
    written.reduce((sum, { length }) => sum + length, 0),
    5 + 500_000 * 20,
  );
});
