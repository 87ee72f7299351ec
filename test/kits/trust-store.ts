import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { TrustStore } from "../../src/manager/store/store.ts";

/** One place, and two who keep documents there, as two managers would. */
export interface SharedPlace extends AsyncDisposable {
  readonly first: TrustStore;
  readonly second: TrustStore;
  /** Lets time pass until `answer` has come. */
  until<T>(answer: Promise<T>): Promise<T>;
}

const document = (text: string): ReadonlyMap<string, string> =>
  new Map([
    ["text", text],
    ["key", "-----BEGIN PRIVATE KEY-----\nMA==\n"],
  ]);
const isConflict = (thrown: unknown): boolean => thrown instanceof MeshError && thrown.code === "conflict";

/** What every store must do. @param what as `a folder`, for the names of the tests. */
export function trustStoreKit(what: string, open: () => Promise<SharedPlace>): void {
  const on = (sentence: string, act: (place: SharedPlace) => Promise<void>): void =>
    void test(`${what} ${sentence}`, async () => {
      await using place = await open();
      await place.until(act(place));
    });

  on("gives back what was written, to whoever else reads it, with the version that the writer was told", async (at) => {
    assert.equal(await at.first.read("relay-root"), undefined);
    const version = await at.first.write("relay-root", document("ä one"), undefined);
    const read = await at.second.read("relay-root");
    assert.deepEqual([...read!.data].sort(), [...document("ä one")].sort());
    assert.equal(read!.version, version);
  });

  on("takes a new text from whoever has read the last one, and has nothing of the old one left", async (at) => {
    const version = await at.first.write("relay-root", new Map([["old", "1"]]), undefined);
    const next = await at.second.write("relay-root", document("two"), version);
    assert.notEqual(next, version);
    const read = await at.first.read("relay-root");
    assert.deepEqual([read?.data.get("text"), read?.data.has("old"), read?.version], ["two", false, next]);
  });

  on("takes nothing from who has not seen the last text, and keeps that", async (at) => {
    const version = await at.first.write("relay-root", document("one"), undefined);
    await assert.rejects(at.second.write("relay-root", document("lost"), undefined), isConflict);
    await at.first.write("relay-root", document("two"), version);
    await assert.rejects(at.second.write("relay-root", document("lost"), version), isConflict);
    assert.equal((await at.second.read("relay-root"))?.data.get("text"), "two");
    await at.first.remove("relay-root");
    await assert.rejects(at.second.write("relay-root", document("lost"), version), isConflict);
    assert.equal(await at.first.read("relay-root"), undefined);
  });

  on("takes the text of exactly one of many that write at once, first or later, and tells the others", async (at) => {
    let version: string | undefined;
    for (let round = 0; round < 5; round += 1) {
      const texts = Array.from({ length: 8 }, (_, one) => `${round} ${one}`);
      const writes = texts.map((text, one) =>
        (one % 2 === 0 ? at.first : at.second).write("relay-root", document(text), version),
      );
      const outcomes = await Promise.allSettled(writes);
      const won = outcomes.flatMap((outcome, one) => (outcome.status === "fulfilled" ? [one] : []));
      assert.equal(won.length, 1, `${won.length} writers were told that theirs is what counts`);
      for (const outcome of outcomes) if (outcome.status === "rejected") assert.ok(isConflict(outcome.reason));
      const read = await at.first.read("relay-root");
      assert.equal(read?.data.get("text"), texts[won[0]!]);
      version = read?.version;
    }
  });

  on("forgets what is removed, and takes it as new again; what is not there is removed without a word", async (at) => {
    await at.first.remove("relay-root");
    const version = await at.first.write("relay-root", document("one"), undefined);
    await at.first.write("relay-root", document("two"), version);
    await at.second.remove("relay-root");
    assert.equal(await at.first.read("relay-root"), undefined);
    assert.deepEqual(await at.first.names(""), []);
    await at.first.write("relay-root", document("three"), undefined);
    assert.equal((await at.second.read("relay-root"))?.data.get("text"), "three");
  });

  on("names its documents that begin so, sorted", async (at) => {
    for (const name of ["token-west", "token-east", "token", "tokens.x", "relay-root"])
      await at.first.write(name, document(name), undefined);
    assert.deepEqual(await at.second.names("token-"), ["token-east", "token-west"]);
    assert.deepEqual(await at.second.names(""), ["relay-root", "token", "token-east", "token-west", "tokens.x"]);
    assert.equal((await at.second.read("token"))?.data.get("text"), "token");
  });

  on("keeps a document whose texts are empty, and one without any", async (at) => {
    const version = await at.first.write("relay-root", new Map([["empty", ""]]), undefined);
    assert.equal((await at.second.read("relay-root"))?.data.get("empty"), "");
    await at.first.write("relay-root", new Map(), version);
    assert.equal((await at.second.read("relay-root"))?.data.size, 0);
  });
}
