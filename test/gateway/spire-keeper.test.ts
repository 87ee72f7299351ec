import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { before, test } from "mocha";
import type { Svid } from "../../src/gateway/svid.ts";
import { SpireKeeper } from "../../src/gateway/spire-keeper.ts";
import type { AgentEvents, AgentSvid, AgentSvids } from "../../src/spire/spire.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, type Pair, TestAuthority } from "../kits/tls.ts";

const HOUR = 3_600_000;
const OURS = "spiffe://td/ns/shop/sa/waypoint";
const CART = "spiffe://td/ns/shop/sa/cart";

let root: TestAuthority;
let authority: TestAuthority;
let stranger: TestAuthority;
before(async () => {
  const forDays = { notAfterMs: Date.now() + 48 * HOUR };
  root = await TestAuthority.create({ name: "CN=SPIRE", ...forDays });
  authority = await TestAuthority.create({ name: "CN=server", ...forDays }, root);
  stranger = await TestAuthority.create({ name: "CN=stranger", ...forDays });
});

/** As an agent hands it out. */
async function svid(spiffeId = OURS, { lifeMs = HOUR, issuer = authority, key = undefined as Pair | undefined } = {}) {
  const leaf = await issuer.issue([spiffeId], lifeMs);
  const pkcs8 = createPrivateKey((key ?? leaf).key).export({ type: "pkcs8", format: "der" });
  const chain = [leaf.certificate, issuer.root].map((pem) => new Uint8Array(derOf(pem)));
  return { spiffeId, chain, key: new Uint8Array(pkcs8), hint: "" } satisfies AgentSvid;
}

const says = (svids: readonly AgentSvid[], roots: readonly string[] = [root.root]): AgentSvids => ({
  svids,
  bundles: new Map([["td", roots.map((pem) => new Uint8Array(derOf(pem)))]]),
});

/** A gateway whose agent says what the test says. */
function lab(told: { readonly trustDomain: string | undefined } = { trustDomain: "td" }) {
  const host = new TestHost();
  const { clock } = host;
  // Certificates of tests are of today.
  const [now, aheadMs] = [clock.now.bind(clock), Date.now() - clock.now()];
  clock.now = () => now() + aheadMs;
  const taken: Svid[] = [];
  const followed: AgentEvents[] = [];
  let ended = 0;
  const keeper = new SpireKeeper(
    host,
    { namespace: "shop", serviceAccount: "waypoint", ...told },
    (events) => {
      followed.push(events);
      return { [Symbol.dispose]: () => void (ended += 1) };
    },
    (one) => void taken.push(one),
  );
  keeper.renew();
  const errors = (): readonly string[] => host.lines.filter((line) => line.startsWith("error"));
  return { host, clock, keeper, taken, followed, agent: followed[0]!, errors, ended: () => ended };
}

test("the identity that SPIRE's agent says is ours is taken, whatever else it says, and each later one with its key", async () => {
  const { keeper, agent, taken, host } = lab();
  assert.equal(keeper.whyNone(), "there is no identity from SPIRE yet: its agent has not answered");
  const [cart, first, second] = [await svid(CART), await svid(), await svid(OURS, { lifeMs: 2 * HOUR })];
  agent.said(says([cart, first]));
  assert.deepEqual([keeper.whyNone(), keeper.svid?.spiffeId, keeper.svid?.trustDomain], [undefined, OURS, "td"]);
  assert.equal(host.metric("gateway_certificate_requests_total{result=issued}"), 1);
  agent.said(says([second, cart]));
  assert.equal(taken.length, 2);
  for (const [at, { chain, key }] of [first, second].entries()) {
    assert.deepEqual(derOf(taken[at]!.chain.split("-----END")[0]!), Buffer.from(chain[0]!));
    assert.deepEqual(
      createPrivateKey(taken[at]!.key).export({ type: "pkcs8", format: "der" }),
      createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" }).export({
        type: "pkcs8",
        format: "der",
      }),
    );
  }
  assert.equal(host.lines.filter((line) => line.includes("we have an identity from SPIRE")).length, 2);
});

test("what is said again changes nothing: Envoy is told of new identities only", async () => {
  const { agent, taken, errors, followed, keeper } = lab();
  const own = await svid();
  for (let times = 0; times < 3; times++) agent.said(says([own]));
  keeper.renew();
  assert.deepEqual([taken.length, errors(), followed.length], [1, [], 1]);
});

test("an identity that is not ours to the letter is never shown, and the log says whose it is", async () => {
  for (const name of [
    CART,
    "spiffe://td/ns/bank/sa/waypoint",
    "spiffe://other/ns/shop/sa/waypoint",
    "spiffe://td/ns/shop/sa/waypoint/more",
    "spiffe://td/gateway",
  ]) {
    const { keeper, agent, taken, errors } = lab();
    agent.said(says([await svid(name)]));
    assert.deepEqual(taken, []);
    const sentence = `SPIRE's agent says that we are ${name}, and we are ${OURS}: look at the entries`;
    assert.ok(keeper.whyNone()!.startsWith(`there is no identity from SPIRE yet: ${sentence}`), keeper.whyNone());
    assert.equal(errors().length, 1);
    assert.ok(errors()[0]!.includes(sentence));
  }
});

test("a trust domain that we were not told is that of the first identity, and no later one may leave it", async () => {
  const { agent, taken, errors } = lab({ trustDomain: undefined });
  agent.said(says([await svid()]));
  const elsewhere = "spiffe://other/ns/shop/sa/waypoint";
  agent.said({ ...says([await svid(elsewhere)]), bundles: new Map([["other", [derOf(root.root)]]]) });
  assert.deepEqual([taken.length, taken[0]!.trustDomain], [1, "td"]);
  assert.match(errors()[0]!, /says that we are spiffe:\/\/other\/.*, and we are spiffe:\/\/td\//);
});

test("an identity with another key, without a way to its bundle, that has ended or lies about its name is refused", async () => {
  const other = await authority.issue([OURS]);
  const wrong: readonly [AgentSvids, RegExp][] = [
    [says([await svid(OURS, { key: other })]), /it is for another key than ours/],
    [says([await svid(OURS, { issuer: stranger })]), /it does not lead to an authority in SPIRE's bundle: /],
    [says([await svid()], [stranger.root]), /it does not lead to an authority in SPIRE's bundle: /],
    [{ svids: [await svid()], bundles: new Map([["other", [derOf(root.root)]]]) }, /an authority in SPIRE's bundle: /],
    [says([await svid(OURS, { lifeMs: -1_000 })]), /it ended at/],
    [says([{ ...(await svid(CART)), spiffeId: OURS }]), /it is for spiffe:.*\/sa\/cart, and we are .*\/sa\/waypoint/],
    [says([{ ...(await svid()), key: new Uint8Array([1, 2, 3]) }]), /its key is none that we can read/],
    [says([{ ...(await svid()), chain: [] }]), /it holds no certificate/],
  ];
  for (const [said, why] of wrong) {
    const { keeper, agent, taken } = lab();
    agent.said(said);
    assert.deepEqual(taken, []);
    assert.match(keeper.whyNone()!, /^there is no identity from SPIRE yet: what SPIRE's agent gave cannot be used: /);
    assert.match(keeper.whyNone()!, why);
  }
});

test("of two identities of ours the first that holds counts", async () => {
  const { agent, taken } = lab();
  const [bad, good, late] = [await svid(OURS, { issuer: stranger }), await svid(), await svid()];
  agent.said(says([bad, good, late]));
  assert.deepEqual(
    taken.map(({ chain }) => derOf(chain.split("-----END")[0]!)),
    [Buffer.from(good.chain[0]!)],
  );
});

test("an entry that is removed under a live identity ends it only when it ends, and one that is back is taken up again", async () => {
  const { keeper, agent, taken, errors, clock, host } = lab();
  agent.said(says([await svid()]));
  agent.said(says([]));
  agent.said(says([]));
  assert.equal(keeper.whyNone(), undefined, "callers go on");
  assert.equal(errors().length, 1, "once");
  assert.match(errors()[0]!, /no registration entry for spiffe:\/\/td\/ns\/shop\/sa\/waypoint matches; make one, with/);
  assert.match(errors()[0]!, /until="?the old one is good until 20/);
  await clock.pass(HOUR + 60_001);
  assert.match(keeper.whyNone()!, /^the certificate of spiffe:.* ended at 20.*: SPIRE's agent has no identity for us/);
  assert.equal(errors().filter((line) => line.includes("our certificate has ended")).length, 1);
  const back = await svid(OURS, { lifeMs: 3 * HOUR });
  agent.said(says([back]));
  assert.deepEqual([keeper.whyNone(), taken.length], [undefined, 2]);
  agent.said(says([]));
  for (let times = 0; times < 2; times++) agent.said(says([back]));
  assert.equal(host.lines.filter((line) => line.includes("gives us our identity again")).length, 1);
  assert.equal(taken.length, 2);
});

test("a bundle that no longer leads anywhere takes no identity away", async () => {
  const { keeper, agent, errors } = lab();
  const own = await svid();
  agent.said(says([own]));
  agent.said(says([own], []));
  assert.equal(keeper.whyNone(), undefined);
  assert.match(errors()[0]!, /it does not lead to an authority in SPIRE's bundle/);
});

test("while the agent is away what we have is shown to its end, and why there is no other is said", async () => {
  const { keeper, agent, errors, clock } = lab();
  agent.broke(new Error("nothing listens there"));
  assert.equal(keeper.whyNone(), "there is no identity from SPIRE yet: nothing listens there");
  agent.said(says([await svid()]));
  agent.broke(new Error("it has ended the stream"));
  agent.broke(new Error("it has ended the stream"));
  assert.equal(errors().length, 2, "each reason once");
  await clock.pass(HOUR - 1_000);
  assert.equal(keeper.whyNone(), undefined);
  await clock.pass(62_000);
  assert.match(keeper.whyNone()!, /ended at .*: it has ended the stream$/);
});

test("an agent that does not renew is told of long before the end, once", async () => {
  const { agent, errors, clock } = lab();
  // Two hours of it are over.
  agent.said(says([await svid(OURS, { lifeMs: 6 * HOUR })]));
  await clock.pass(4 * HOUR - 60_000);
  assert.deepEqual(errors(), []);
  await clock.pass(90 * 60_000);
  assert.equal(errors().length, 1);
  assert.match(
    errors()[0]!,
    /SPIRE's agent has not renewed our identity: look at its log, and whether it reaches SPIRE/,
  );
});

test("a wall clock that jumps past the end is noticed within a minute", async () => {
  const { agent, errors, clock } = lab();
  agent.said(says([await svid()]));
  const now = clock.now;
  clock.now = () => now() + 2 * HOUR;
  await clock.pass(60_000);
  assert.ok(errors().some((line) => line.includes("our certificate has ended")));
});

test("once closed it follows nobody and takes nothing", async () => {
  const { keeper, agent, taken, clock, ended, followed } = lab();
  agent.said(says([await svid()]));
  keeper.close();
  agent.said(says([await svid()]));
  agent.broke(new Error("ended"));
  keeper.renew();
  assert.deepEqual([taken.length, ended(), followed.length, clock.pending], [1, 1, 1, 0]);
});
