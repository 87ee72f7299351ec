import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { test } from "mocha";
import { spire } from "../../proto/gen/mesh.js";
import { followDelegated, followWorkloadApi, followWorkloadBundles } from "../../src/spire/agent-api.ts";
import type { AgentEvents, AgentSvid, AgentSvids } from "../../src/spire/spire.ts";
import { folderOf } from "../kits/folder.ts";
import { PATH } from "../kits/spire-methods.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";
import { until } from "../kits/until.ts";
import { forEver, Refusal, SmallSpire, svidOf, type Talk, unlinkSocket } from "./small-spire.ts";

const { workload: FETCH_SVIDS, workloadBundles: FETCH_BUNDLES, delegated: SVIDS, delegatedBundles: BUNDLES } = PATH;

const ISTIOD = "spiffe://example.org/ns/istio-system/sa/istiod";
const CART = "spiffe://example.org/ns/shop/sa/cart";

class Heard implements AgentEvents {
  readonly told: AgentSvids[] = [];
  readonly broken: string[] = [];
  said(svids: AgentSvids): void {
    this.told.push(svids);
  }
  broke(why: Error): void {
    this.broken.push(why.message);
  }
}

async function lab(talks: Readonly<Record<string, Talk>>) {
  const host = new TestHost();
  const folder = await folderOf({});
  const path = folder.at("agent.sock");
  const small = await SmallSpire.onSocket(path, { talks });
  const authority = await TestAuthority.create();
  const end = async (): Promise<void> => {
    await small[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  return { host, path, small, authority, heard: new Heard(), [Symbol.asyncDispose]: end };
}

/** As the Workload API writes an identity, with the bundle of its trust domain. */
function workloadMessage(
  svids: readonly AgentSvid[],
  root: string,
  federated: Readonly<Record<string, Buffer>> = {},
): Uint8Array {
  const written = svids.map(({ spiffeId, chain, key, hint }) => ({
    spiffeId,
    x509Svid: Buffer.concat(chain),
    x509SvidKey: key,
    bundle: derOf(root),
    hint,
  }));
  return spire.WorkloadX509SvidResponse.encode({ svids: written, federatedBundles: federated }).finish();
}

function delegatedMessage(svids: readonly AgentSvid[], federatesWith: string[] = []): Uint8Array {
  const written = svids.map(({ spiffeId, chain, key }) => {
    const [, trustDomain, path] = /^spiffe:\/\/([^/]+)(.*)$/.exec(spiffeId)!;
    return { x509Svid: { certChain: [...chain], id: { trustDomain: trustDomain!, path: path! } }, x509SvidKey: key };
  });
  return spire.SubscribeToX509SvidsResponse.encode({ x509Svids: written, federatesWith }).finish();
}

/** Says these, each when it is there, and goes on. */
const saying =
  (...messages: readonly Uint8Array[]): Talk =>
  (say) => {
    for (const message of messages) say(message);
    return forEver();
  };

/** Time goes on until it is so. */
async function passUntil(host: TestHost, isSo: () => boolean): Promise<void> {
  while (!isSo()) await host.clock.pass(50);
}

test("the Workload API gives us our identity, its key, and the bundles by trust domain", async () => {
  const authority = await TestAuthority.create();
  const foreign = await TestAuthority.create("CN=foreign");
  const own = await svidOf(authority, ISTIOD);
  const federated = { "spiffe://example.com": Buffer.concat([derOf(foreign.root), derOf(authority.root)]) };
  await using agent = await lab({ [FETCH_SVIDS]: saying(workloadMessage([own], authority.root, federated)) });
  using following = followWorkloadApi(agent.host, agent.path, agent.heard);
  assert.equal(following.status.connected, false);
  await passUntil(agent.host, () => agent.heard.told.length > 0);
  const [said] = agent.heard.told;
  assert.deepEqual(said!.svids, [own]);
  assert.deepEqual([...said!.bundles.keys()].sort(), ["example.com", "example.org"]);
  assert.deepEqual(said!.bundles.get("example.org")!.map(Buffer.from), [derOf(authority.root)]);
  assert.deepEqual(said!.bundles.get("example.com")!.map(Buffer.from), [derOf(foreign.root), derOf(authority.root)]);
  assert.equal(agent.small.calls[0]!.header, "true");
  assert.equal(following.status.connected, true);
  assert.equal(agent.host.metric("spire_agent_connected{api=workload}"), 1);
});

test("without an entry we are told which, and hear our identity soon after it was made", async () => {
  const authority = await TestAuthority.create();
  const own = await svidOf(authority, ISTIOD);
  let registered = false;
  await using agent = await lab({
    [FETCH_SVIDS]: (say) => {
      if (!registered) throw new Refusal(status.PERMISSION_DENIED, "no identity issued");
      say(workloadMessage([own], authority.root));
      return forEver();
    },
  });
  using following = followWorkloadApi(agent.host, agent.path, agent.heard);
  await passUntil(agent.host, () => agent.heard.broken.length === 3);
  assert.match(agent.heard.broken[0]!, /no entry gives us an identity: register one .* no identity issued/);
  assert.match(following.status.error ?? "", /no entry gives us an identity/);
  assert.equal(agent.host.lines.filter((line) => line.startsWith("warn")).length, 1);
  registered = true;
  await passUntil(agent.host, () => agent.heard.told.length === 1);
  assert.equal(following.status.error, undefined);
});

test("each message replaces the one before, and a stream that breaks begins anew and takes nothing away", async () => {
  const authority = await TestAuthority.create();
  const [first, second] = [await svidOf(authority, ISTIOD), await svidOf(authority, ISTIOD)];
  let end = (): void => {};
  const talks: Talk[] = [
    (say) => {
      say(workloadMessage([first, second], authority.root));
      say(workloadMessage([first], authority.root));
      return new Promise((resolve) => (end = resolve));
    },
    saying(workloadMessage([second], authority.root)),
  ];
  await using agent = await lab({ [FETCH_SVIDS]: (...call) => talks.shift()!(...call) });
  using following = followWorkloadApi(agent.host, agent.path, agent.heard);
  await passUntil(agent.host, () => agent.heard.told.length === 2);
  end();
  await until(() => agent.heard.broken.length === 1);
  assert.equal(following.status.connected, false);
  assert.equal(agent.host.metric("spire_agent_connected{api=workload}"), 0);
  await passUntil(agent.host, () => agent.heard.told.length === 3);
  assert.deepEqual(
    agent.heard.told.map(({ svids }) => svids.length),
    [2, 1, 1],
  );
  assert.deepEqual(agent.heard.told[2]!.svids, [second]);
});

test("an agent that is not there is tried for ever, ever more seldom, and found when it comes", async () => {
  const authority = await TestAuthority.create();
  await using agent = await lab({});
  await agent.small[Symbol.asyncDispose]();
  using following = followWorkloadApi(agent.host, agent.path, agent.heard);
  const attemptsIn = async (ms: number): Promise<number> => {
    const before = agent.heard.broken.length;
    for (let passed = 0; passed < ms; passed += 250) {
      await agent.host.clock.pass(250);
      // The kernel's refusal is no matter of our clock.
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    return agent.heard.broken.length - before;
  };
  assert.ok((await attemptsIn(10_000)) >= 3);
  const perMinute = await attemptsIn(60_000);
  assert.ok(perMinute >= 11 && perMinute <= 25, `${perMinute}`);
  assert.match(agent.heard.broken[0]!, /there is no socket: is it running on this node/);
  const own = await svidOf(authority, ISTIOD);
  const talks = { [FETCH_SVIDS]: saying(workloadMessage([own], authority.root)) };
  await using _again = await SmallSpire.onSocket(agent.path, { talks });
  await passUntil(agent.host, () => following.status.connected);
});

test("an agent that listens on a new socket is followed, though the old one is still connected and silent", async () => {
  const authority = await TestAuthority.create();
  const [first, second] = [await svidOf(authority, ISTIOD), await svidOf(authority, ISTIOD)];
  await using agent = await lab({ [FETCH_SVIDS]: saying(workloadMessage([first], authority.root)) });
  using _following = followWorkloadApi(agent.host, agent.path, agent.heard);
  await passUntil(agent.host, () => agent.heard.told.length === 1);
  unlinkSocket(agent.path);
  await agent.host.clock.pass(20_000);
  assert.deepEqual(agent.heard.broken, []);
  const talks = { [FETCH_SVIDS]: saying(workloadMessage([second], authority.root)) };
  await using _fresh = await SmallSpire.onSocket(agent.path, { talks });
  await passUntil(agent.host, () => agent.heard.told.length === 2);
  assert.deepEqual(agent.heard.told[1]!.svids, [second]);
  assert.match(agent.heard.broken[0]!, /listens on another socket now/);
});

test("an agent that takes our call and says nothing is tried anew", async () => {
  await using agent = await lab({ [FETCH_SVIDS]: forEver });
  using _following = followWorkloadApi(agent.host, agent.path, agent.heard);
  await agent.host.clock.pass(0);
  await until(() => agent.small.calls.length === 1);
  await agent.host.clock.pass(30_000);
  assert.match(agent.heard.broken[0]!, /says nothing for 30 s/);
  await passUntil(agent.host, () => agent.small.calls.length === 2);
});

for (const [what, spoil, why] of [
  [
    "with another's key",
    (good: AgentSvid, other: AgentSvid) => ({ ...good, key: other.key }),
    /the key of another one/,
  ],
  ["of another identity", (good: AgentSvid) => ({ ...good, spiffeId: CART }), /is a certificate of spiffe:.*istiod/],
  ["without a certificate", (good: AgentSvid) => ({ ...good, chain: [] }), /has no certificate/],
  ["of no trust domain", (good: AgentSvid) => ({ ...good, spiffeId: "https://x y/" }), /is of no trust domain/],
] as const)
  test(`an SVID ${what} is not taken, and what was said before still holds`, async () => {
    const authority = await TestAuthority.create();
    const [good, other] = [await svidOf(authority, ISTIOD), await svidOf(authority, ISTIOD)];
    const messages = [good, spoil(good, other)].map((svid) => workloadMessage([svid], authority.root));
    await using agent = await lab({ [FETCH_SVIDS]: saying(...messages) });
    using _following = followWorkloadApi(agent.host, agent.path, agent.heard);
    await passUntil(agent.host, () => agent.heard.broken.length > 0);
    assert.match(agent.heard.broken[0]!, why);
    assert.deepEqual(
      agent.heard.told.map(({ svids }) => svids),
      [[good]],
    );
  });

test("bundles alone are heard by those who have no identity", async () => {
  const authority = await TestAuthority.create();
  const bundles = { "spiffe://example.org": derOf(authority.root) };
  const message = spire.WorkloadX509BundlesResponse.encode({ bundles }).finish();
  await using agent = await lab({ [FETCH_BUNDLES]: saying(message) });
  const heard: (readonly [string, number])[] = [];
  using _following = followWorkloadBundles(agent.host, agent.path, {
    said: (bundles) => heard.push(...[...bundles].map(([name, roots]) => [name, roots.length] as const)),
    broke: (why) => assert.fail(why.message),
  });
  await passUntil(agent.host, () => heard.length > 0);
  assert.deepEqual(heard, [["example.org", 1]]);
  assert.equal(agent.small.calls[0]!.header, "true");
});

for (const [how, target, asked] of [
  ["selectors", { selectors: ["k8s:ns:shop"] }, { selectors: [{ type: "k8s", value: "ns:shop" }], pid: 0 }],
  ["process", { pid: 4711 }, { selectors: [], pid: 4711 }],
] as const)
  test(`a delegate hears the identities of a workload by its ${how}, with the bundles that are theirs to believe`, async () => {
    const authority = await TestAuthority.create();
    const cart = await svidOf(authority, CART);
    const root = derOf(authority.root);
    const caCertificates = { "spiffe://example.org": root, "spiffe://example.com": root, "spiffe://far": root };
    await using agent = await lab({
      [SVIDS]: saying(delegatedMessage([cart], ["spiffe://example.com"])),
      [BUNDLES]: saying(spire.SubscribeToX509BundlesResponse.encode({ caCertificates }).finish()),
    });
    using following = followDelegated(agent.host, agent.path, target, agent.heard);
    await passUntil(agent.host, () => agent.heard.told.length > 0);
    const [said] = agent.heard.told;
    assert.deepEqual(said!.svids, [cart]);
    assert.deepEqual([...said!.bundles.keys()].sort(), ["example.com", "example.org"]);
    assert.equal(following.status.connected, true);
    const { request } = agent.small.calls.find(({ method }) => method === SVIDS)!;
    const { selectors, pid } = spire.SubscribeToX509SvidsRequest.decode(request);
    assert.deepEqual({ selectors: selectors.map((selector) => ({ ...selector })), pid }, asked);
  });

test("an entry that goes is heard as no identity at all, and a change of bundles comes with the identities", async () => {
  const authority = await TestAuthority.create();
  const cart = await svidOf(authority, CART);
  const root = derOf(authority.root);
  let remove = (): void => {};
  let rotate = (): void => {};
  const bundle = (roots: Buffer): Uint8Array =>
    spire.SubscribeToX509BundlesResponse.encode({ caCertificates: { "spiffe://example.org": roots } }).finish();
  await using agent = await lab({
    [SVIDS]: (say) => {
      say(delegatedMessage([cart]));
      remove = () => say(delegatedMessage([]));
      return forEver();
    },
    [BUNDLES]: (say) => {
      say(bundle(root));
      rotate = () => say(bundle(Buffer.concat([root, root])));
      return forEver();
    },
  });
  using _following = followDelegated(agent.host, agent.path, { pid: 1 }, agent.heard);
  await passUntil(agent.host, () => agent.heard.told.length === 1);
  rotate();
  await until(() => agent.heard.told.length === 2);
  remove();
  await until(() => agent.heard.told.length === 3);
  assert.deepEqual(
    agent.heard.told.map(({ svids, bundles }) => [svids.length, bundles.get("example.org")?.length]),
    [
      [1, 1],
      [1, 2],
      [0, undefined],
    ],
  );
  assert.deepEqual(agent.heard.broken, []);
});

for (const [words, code, fix] of [
  ["caller not configured as an authorized delegate", status.PERMISSION_DENIED, /authorized_delegates/],
  ["no identity issued", status.PERMISSION_DENIED, /no entry gives us an identity/],
  ["workload attestation failed", status.UNAVAILABLE, /cannot attest us, or the process/],
  ["unknown service", status.UNIMPLEMENTED, /admin_socket_path/],
] as const)
  test(`a delegate that is refused with "${words}" is told what mends it`, async () => {
    const refuse = (): never => {
      throw new Refusal(code, words);
    };
    await using agent = await lab({ [SVIDS]: refuse, [BUNDLES]: refuse });
    using _following = followDelegated(agent.host, agent.path, { pid: 1 }, agent.heard);
    await passUntil(agent.host, () => agent.heard.broken.length > 0);
    assert.match(agent.heard.broken[0]!, fix);
    assert.ok(agent.heard.broken[0]!.includes(words));
  });

test("whoever stops following hears nothing more, and the agent is let go", async () => {
  const authority = await TestAuthority.create();
  const own = await svidOf(authority, ISTIOD);
  await using agent = await lab({ [FETCH_SVIDS]: saying(workloadMessage([own], authority.root)) });
  const following = followWorkloadApi(agent.host, agent.path, agent.heard);
  await passUntil(agent.host, () => agent.heard.told.length === 1);
  following[Symbol.dispose]();
  await until(() => agent.small.calls[0]!.cancelled);
  await agent.host.clock.pass(120_000);
  assert.equal(agent.host.clock.pending, 0);
  assert.deepEqual([agent.heard.told.length, agent.heard.broken.length, agent.small.calls.length], [1, 0, 1]);
});
