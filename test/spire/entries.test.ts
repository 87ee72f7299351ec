import assert from "node:assert/strict";
import { test } from "mocha";
import type { PodFacts } from "../../src/ca/signer.ts";
import { MeshError } from "../../src/errors.ts";
import { agentsByNode, type Claim, vouchers } from "../../src/spire/entries.ts";
import type { SpireAgent, SpireEntry } from "../../src/spire/spire.ts";
import { agentOn, bearerOf, CART, entryFor, podNamed, SERVER, trustDomain } from "./lab.ts";

const now = 1_700_000_000_000;

interface Asked {
  readonly entries: readonly SpireEntry[];
  readonly aliases?: readonly SpireEntry[];
  readonly agents?: readonly SpireAgent[];
  readonly pods?: readonly [PodFacts, ...PodFacts[]];
  readonly claim?: Partial<Claim>;
}

/** The ids of the entries that vouch. */
function vouched({ entries, aliases = [], agents = [agentOn("n1")], pods = [podNamed("cart-0")], claim }: Asked) {
  const asked = { identity: CART, bearer: bearerOf(...pods), cluster: "prod-east", now, ...claim };
  return vouchers(asked, { entries, aliases, agents: agentsByNode(agents) }).map(({ id }) => id);
}

/** What we log, and what the node that asks is told. */
function refusal(asked: Asked): { readonly why: string; readonly told: string } {
  try {
    vouched(asked);
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError && thrown.code === "denied");
    return { why: thrown.message, told: String(thrown.detail["told"]) };
  }
  return assert.fail("it was vouched for");
}

test("an entry vouches for a pod that has all its selectors, on a node whose agent is its parent", () => {
  assert.deepEqual(vouched({ entries: [entryFor()] }), ["cart-n1"]);
  const selectors = [
    "k8s:pod-name:cart-0",
    "k8s:pod-uid:uid-cart-0",
    "k8s:node-name:n1",
    "k8s:pod-label:app.kubernetes.io/name:cart",
  ];
  const pods = [podNamed("cart-0", { "app.kubernetes.io/name": "cart" })] as const;
  assert.deepEqual(vouched({ entries: [entryFor({ selectors })], pods: [...pods] }), ["cart-n1"]);
});

test("without an entry there is no voucher, and the refusal says what entry to make; the node hears less", () => {
  const { why, told } = refusal({ entries: [] });
  assert.match(why, /no registration entry for spiffe:.*\/sa\/cart, which pod shop\/cart-0 on node n1 needs/);
  assert.match(why, /k8s:ns:shop and k8s:sa:cart/);
  assert.equal(told, `SPIRE has no registration entry for ${CART}`);
});

test("an entry of another identity vouches for nobody, even if the server sends it for this one", () => {
  for (const spiffeId of [`${CART}2`, `spiffe://other/ns/shop/sa/cart`, CART.toUpperCase()])
    assert.match(refusal({ entries: [entryFor({ spiffeId })] }).why, /no registration entry for/);
});

test("the refusal names the selector that is missing of the nearest entry; the node hears its kind alone", () => {
  const far = entryFor({ id: "far", selectors: ["k8s:ns:bank", "k8s:sa:pay", "k8s:pod-name:vault-0"] });
  const near = entryFor({ id: "near", selectors: ["k8s:ns:shop", "k8s:pod-label:tier:gold"] });
  const { why, told } = refusal({ entries: [far, near], pods: [podNamed("cart-0", { tier: "tin" })] });
  assert.match(
    why,
    /holds for pod shop\/cart-0 on node n1; of the nearest, near, the pod lacks its selector k8s:pod-label:tier:gold$/,
  );
  assert.equal(
    told,
    `no registration entry of SPIRE for ${CART} holds for its pods on this node: one lacks k8s:pod-label:tier`,
  );
});

test("what a node is told names no value of a selector, no other node and no id", () => {
  const secrets = /bank|vault|uid-|n2|prod-east|far|gold/;
  const selectors = ["k8s:ns:bank", "k8s:pod-name:vault-0", "k8s:pod-label:tier:gold", "unix:path:/vault"];
  const entries = [entryFor({ id: "far", parentId: agentOn("n2").id, selectors, admin: true, expiresAt: 1 })];
  const { told } = refusal({ entries });
  assert.doesNotMatch(told, secrets);
  assert.match(told, /k8s:ns, one lacks k8s:pod-name, one lacks k8s:pod-label:tier, unix:path cannot be judged here/);
  assert.doesNotMatch(refusal({ entries, agents: [agentOn("n2"), agentOn("n1", { banned: true })] }).told, secrets);
});

for (const selector of [
  "unix:uid:0",
  "k8s:container-image:docker.io/cart",
  "k8s:pod-owner:ReplicaSet:cart",
  "docker:label:a:b",
  "k8s:",
  "",
])
  test(`a selector that only an agent can judge, "${selector}", holds for no pod here`, () => {
    const { why } = refusal({ entries: [entryFor({ selectors: ["k8s:ns:shop", selector] })] });
    assert.match(why, /can be judged by SPIRE's own agents only, not here$/);
  });

test("an entry without selectors holds for nobody", () => {
  assert.match(refusal({ entries: [entryFor({ selectors: [] })] }).why, /it has no selectors$/);
});

test("an entry that has expired, or is for administrators or authorities, vouches for no workload", () => {
  assert.deepEqual(vouched({ entries: [entryFor({ expiresAt: now + 1 })] }), ["cart-n1"]);
  assert.match(refusal({ entries: [entryFor({ expiresAt: now })] }).why, /it expired at 2023-11-14T22:13:20.000Z$/);
  assert.match(refusal({ entries: [entryFor({ admin: true })] }).why, /entry cart-n1 is marked admin/);
  assert.match(refusal({ entries: [entryFor({ downstream: true })] }).why, /entry cart-n1 is marked downstream/);
});

test("an identity that SPIRE's server lets do more is signed for nobody, whichever of its entries says so", () => {
  for (const right of ["admin", "downstream"] as const) {
    const elsewhere = entryFor({
      id: "operator",
      parentId: agentOn("n2").id,
      selectors: ["unix:uid:0"],
      [right]: true,
    });
    const { why, told } = refusal({ entries: [entryFor(), elsewhere] });
    assert.match(
      why,
      new RegExp(`is ${right} at SPIRE's server, as its registration entry operator is marked ${right}`),
    );
    assert.match(told, new RegExp(`is ${right}, so it is signed for no workload`));
    assert.deepEqual(vouched({ entries: [entryFor(), { ...elsewhere, expiresAt: now }] }), ["cart-n1"]);
    const others = { ...elsewhere, spiffeId: "spiffe://cluster.local/ns/shop/sa/operator" };
    assert.deepEqual(vouched({ entries: [entryFor(), others] }), ["cart-n1"]);
  }
});

test("an entry whose SVIDs go into a store vouches for no workload: SPIRE's agents give them to none", () => {
  const { why, told } = refusal({ entries: [entryFor({ storeSvid: true })] });
  assert.match(why, /SPIRE's agents write it into a store/);
  assert.match(told, /its entry is for a store$/);
});

test("an entry of another node's agent does not vouch for a pod on this one", () => {
  const entries = [entryFor({ parentId: agentOn("n2").id })];
  const { why, told } = refusal({ entries, agents: [agentOn("n1"), agentOn("n2")] });
  assert.match(why, /its parent spiffe:.*\/uid-n2 is no live agent on that node, nor an alias of one$/);
  assert.match(told, /no live agent on this node is its entry's parent$/);
});

const alias = (more: Partial<SpireEntry> = {}): SpireEntry =>
  entryFor({
    id: "all-nodes",
    spiffeId: `spiffe://${trustDomain}/nodes`,
    parentId: SERVER,
    selectors: ["k8s_psat:cluster:prod-east"],
    ...more,
  });
const ofAlias = entryFor({ parentId: alias().spiffeId });

test("an entry vouches through an alias whose selectors an agent on the node has", () => {
  assert.deepEqual(vouched({ entries: [ofAlias], aliases: [alias()] }), ["cart-n1"]);
  const foreign: readonly Partial<SpireEntry>[] = [
    { selectors: ["k8s_psat:cluster:prod-east", "k8s_psat:agent_node_label:pool:gold"] },
    { selectors: [] },
    { expiresAt: now },
    { spiffeId: `spiffe://${trustDomain}/others` },
  ];
  for (const more of foreign)
    assert.match(
      refusal({ entries: [ofAlias], aliases: [alias(more)] }).why,
      /nor an alias of one$/,
      JSON.stringify(more),
    );
});

test("no agent on the node, one that is banned and one that has expired are refused in their own words", () => {
  const entries = [entryFor()];
  assert.match(
    refusal({ entries, agents: [agentOn("n2")] }).why,
    /no live agent on node n1.*k8s_psat attested there, in cluster prod-east/,
  );
  assert.match(refusal({ entries, agents: [agentOn("n1", { banned: true })] }).why, /uid-n1 is banned$/);
  assert.match(refusal({ entries, agents: [agentOn("n1", { expiresAt: now })] }).why, /uid-n1 expired at 2023/);
  assert.match(refusal({ entries, agents: [] }).told, /^SPIRE has no live agent on this node, which .*cart needs$/);
  // One that is gone does not stand in the way of the one that came after it.
  const again = agentOn("n1", { id: "spiffe://cluster.local/spire/agent/k8s_psat/prod-east/new" });
  const agents = [agentOn("n1", { banned: true }), again];
  assert.deepEqual(vouched({ entries: [entryFor({ parentId: again.id })], agents }), ["cart-n1"]);
  assert.match(refusal({ entries, agents }).why, /is no live agent on that node/);
});

test("a node of the same name in another cluster is another node", () => {
  const west = agentOn("n1", { selectors: ["k8s_psat:cluster:west", "k8s_psat:agent_node_name:n1"] });
  assert.match(
    refusal({ entries: [entryFor()], agents: [west] }).why,
    /no live agent on node n1.*agents on a node of that name in cluster west; if .* say so in --spire-cluster$/,
  );
  assert.deepEqual(vouched({ entries: [entryFor()], agents: [west], claim: { cluster: "west" } }), ["cart-n1"]);
});

test("an agent that did not prove its node to Kubernetes is on none", () => {
  const joined = agentOn("n1", { attestationType: "join_token", selectors: [] });
  assert.match(refusal({ entries: [entryFor({ parentId: joined.id })], agents: [joined] }).why, /no live agent/);
});

test("every pod that will show the certificate needs a voucher; each may have its own", () => {
  const one = entryFor({ id: "one", selectors: ["k8s:pod-uid:uid-cart-0"] });
  const two = entryFor({ id: "two", selectors: ["k8s:pod-uid:uid-cart-1"] });
  const pods = [podNamed("cart-0"), podNamed("cart-1")] as [PodFacts, PodFacts];
  assert.deepEqual(vouched({ entries: [one, two], pods }), ["one", "two"]);
  assert.deepEqual(vouched({ entries: [entryFor()], pods }), ["cart-n1"]);
  assert.match(
    refusal({ entries: [one], pods }).why,
    /for pod shop\/cart-1 on node n1; .*lacks its selector k8s:pod-uid:uid-cart-0/,
  );
});
