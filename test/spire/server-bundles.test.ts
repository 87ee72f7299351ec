import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { BUNDLES_EVERY_MS, ServerBundles } from "../../src/spire/server-bundles.ts";
import { SpireBundles } from "../../src/spire/bundles.ts";
import type { SpireBundle } from "../../src/spire/spire.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

const trustDomain = "mesh.test";
const lives = { notBeforeMs: 0, notAfterMs: new TestHost().clock.now() + 86_400_000 };

async function lab(federated = true) {
  const host = new TestHost();
  const [first, second] = await Promise.all(
    ["CN=one", "CN=two"].map(async (name) => derOf((await TestAuthority.create({ name, ...lives })).root)),
  );
  const said = (name: string, ...authorities: Uint8Array[]): SpireBundle => ({
    ...{ trustDomain: name, authorities, tainted: [], sequence: 1n, refreshHintSeconds: 300 },
  });
  const server = {
    own: () => Promise.resolve(said(trustDomain, first!)),
    others: () => Promise.resolve([said("west.test", second!)]),
    asked: 0,
    bundle: () => {
      server.asked += 1;
      return server.own();
    },
    federatedBundles: () => server.others(),
  };
  const bundles = new SpireBundles(host, { trustDomain, onChange: () => {}, onFaults: () => {} });
  const reader = new ServerBundles(host, server, bundles, { federated, onTroubles: () => {} });
  const names = () => Array.from(bundles.bundles.entries(), ([name]) => name).sort();
  return { host, server, bundles, reader, names, said, first: first!, second: second! };
}

test("bundles are asked for every five seconds, one answer after the other, and what changed shows", async () => {
  const { host, server, bundles, reader, names, said, first, second } = await lab();
  await reader.start();
  assert.deepEqual(names(), [trustDomain, "west.test"]);
  server.own = () => Promise.resolve(said(trustDomain, first, second));
  await host.clock.pass(BUNDLES_EVERY_MS);
  assert.deepEqual(bundles.roots, [first, second]);
  const readAt = host.metric("spire_bundle_read_timestamp_seconds");
  assert.ok(host.clock.now() / 1000 - readAt <= 1, String(readAt));
  let answer: (bundle: SpireBundle) => void = () => {};
  server.own = () => new Promise((resolve) => (answer = resolve));
  await host.clock.pass(10 * BUNDLES_EVERY_MS);
  assert.equal(server.asked, 3, "an answer that does not come is awaited");
  answer(said(trustDomain, second));
  await host.clock.pass(0);
  assert.deepEqual(bundles.roots, [second]);
  reader.close();
  await host.clock.pass(10 * BUNDLES_EVERY_MS);
  assert.equal(server.asked, 3);
});

test("a server that is away takes nothing away, and is asked until it is back", async () => {
  const { host, server, reader, names } = await lab();
  await reader.start();
  const { own } = server;
  const down = () => Promise.reject(new MeshError("unavailable", "nothing listens there"));
  [server.own, server.others] = [down, down];
  await host.clock.pass(BUNDLES_EVERY_MS);
  assert.deepEqual(reader.troubles, ["nothing listens there", "nothing listens there"]);
  assert.deepEqual(names(), [trustDomain, "west.test"]);
  server.own = own;
  await host.clock.pass(BUNDLES_EVERY_MS);
  assert.deepEqual(reader.troubles, ["nothing listens there"]);
  reader.close();
});

test("where our identity may not list them, nobody is asked whom SPIRE is federated with", async () => {
  const { reader, server, names } = await lab(false);
  server.others = () => assert.fail("it was asked");
  await reader.start();
  assert.deepEqual([names(), reader.troubles], [[trustDomain], []]);
  reader.close();
});

test("who looks for a root that is new gets an answer that was asked for after that, and shares it", async () => {
  const { host, server, bundles, reader, said, first, second } = await lab();
  const answers: ((bundle: SpireBundle) => void)[] = [];
  server.own = () => new Promise((resolve) => answers.push(resolve));
  const started = reader.start();
  let done = 0;
  for (const _ of [1, 2, 3]) void reader.refresh().then(() => (done += 1));
  answers[0]!(said(trustDomain, first));
  await started;
  await host.clock.pass(0);
  assert.deepEqual([done, server.asked], [0, 2]);
  answers[1]!(said(trustDomain, first, second));
  await host.clock.pass(0);
  assert.deepEqual([done, server.asked, bundles.roots], [3, 2, [first, second]]);
  reader.close();
});
