import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { before, test } from "mocha";
import { TrustBundles } from "../../src/ca/trust-bundles.ts";
import { type ClusterId, clusterId, networkId } from "../../src/names.ts";
import { BundleDrift, SAID_AFTER_MS } from "../../src/plane/bundle-drift.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Source } from "../../src/registry/collection/source.ts";
import type { ClusterFacts } from "../../src/registry/model/peer.ts";
import { TestHost } from "../kits/test-host.ts";
import { derOf, TestAuthority } from "../kits/tls.ts";

const [east, west] = [clusterId("east"), clusterId("west")];
const series = "peer_bundle_drift{source=east,peer=west}";
let roots: readonly Buffer[];
before(async () => {
  const made = ["CN=one", "CN=two"].map((name) => TestAuthority.create(name));
  roots = (await Promise.all(made)).map(({ root }) => derOf(root));
});

const digest = (at: number): string => hash("sha256", roots[at]!, "hex");

/** East, whose own root is the first, beside its peer west. */
function lab(workloads: readonly number[] = [0]) {
  const host = new TestHost();
  const graph = new Graph();
  const facts = new Source<ClusterId, ClusterFacts>(graph, "facts");
  const bundles = new TrustBundles("east.test");
  bundles.setOwn([roots[0]!]);
  const missing: string[] = [];
  let noted = 0;
  const forWorkloads = { trustDomain: "east.test", roots: workloads.map((at) => roots[at]!) };
  const drift = new BundleDrift(host, {
    ...{ trustDomain: "east.test", localCluster: east, trust: { bundles, forWorkloads }, facts },
    onMissing: (trustDomain) => missing.push(trustDomain),
    onProblems: () => noted++,
  });
  const say = (trustDomain: string, which: readonly number[]): void => {
    facts.set(west, {
      ...{ cluster: west, network: networkId("net"), trustDomain, segment: "", domain: "mesh.internal" },
      ...{ aliasesDigest: "", doors: [], version: "1", features: [] },
      roots: which.map((at) => ({ sha256: digest(at), notAfterMs: 1 })),
    });
    graph.flush();
  };
  const messages = (): readonly string[] => {
    host.clock.advance(SAID_AFTER_MS);
    return drift.problems().map(({ message }) => message);
  };
  return { host, graph, facts, bundles, drift, missing, say, messages, noted: () => noted };
}

test("peers that mean the same roots have no problem", () => {
  const { host, drift, say, messages } = lab();
  say("east.test", [0]);
  assert.deepEqual(messages(), []);
  assert.equal(host.metric(series), 0);
  const agreement = drift.of(west)!;
  assert.deepEqual([agreement.announced, agreement.held, agreement.missing], [[digest(0)], [digest(0)], []]);
});

test("a root that only the peer has is named, with what both sides have and what mends it, until it is here", () => {
  const { host, bundles, missing, say, messages, noted, drift } = lab();
  say("east.test", [0, 1]);
  assert.deepEqual(drift.problems(), [], "a root that reaches both within moments is no problem");
  const [message, ...more] = messages();
  assert.deepEqual(more, []);
  const two = digest(1).slice(0, 16);
  assert.match(
    message!,
    new RegExp(`^Cluster west trusts roots .* so whoever is under ${two} is refused here: west has`),
  );
  assert.match(
    message!,
    new RegExp(`and here are ${digest(0).slice(0, 16)}\\. Put the missing roots .* root-cert\\.pem`),
  );
  assert.equal(host.metric(series), 1);
  assert.deepEqual(missing, ["east.test"]);
  const before = noted();
  bundles.setOwn([roots[0]!, roots[1]!]);
  assert.deepEqual([messages(), host.metric(series)], [[], 0]);
  assert.ok(noted() > before);
});

test("within one trust domain a root that the peer lacks is a problem, too", () => {
  const { bundles, host, say, messages } = lab();
  bundles.setOwn([roots[0]!, roots[1]!]);
  say("east.test", [0]);
  assert.match(
    messages()[0]!,
    /^Roots for trust domain east\.test that are trusted here are not trusted in cluster west/,
  );
  assert.equal(host.metric(series), 1);
});

test("of another trust domain the bundle is asked for, and a root more that we hold for it is none of its business", () => {
  const { bundles, missing, say, messages } = lab([0, 1]);
  say("west.test", [1]);
  assert.match(messages()[0]!, /Read its bundle with --trust-bundle west\.test=/);
  assert.deepEqual(missing, ["west.test"]);
  bundles.offer("peer/west", [{ trustDomain: "west.test", roots: "own" }]);
  bundles.offer("bundles", [{ trustDomain: "west.test", roots: [roots[1]!] }]);
  assert.deepEqual(messages(), []);
});

test("roots that are trusted here and kept from workloads are said to break calls", () => {
  const { bundles, say, messages } = lab([0]);
  bundles.offer("bundles", [{ trustDomain: "west.test", roots: [roots[1]!] }]);
  say("west.test", [1]);
  assert.match(messages()[0]!, /^Workloads here have no root of trust domain west\.test.*ISTIO_MULTIROOT_MESH=true/);
});

test("a peer that says nothing of its roots, or has left, has no problem and no series", () => {
  const { host, graph, facts, drift, say, messages } = lab();
  say("east.test", []);
  assert.deepEqual([messages(), drift.of(west)], [[], undefined]);
  say("east.test", [1]);
  assert.ok(messages().length > 0);
  facts.delete(west);
  graph.flush();
  assert.deepEqual([messages(), host.series.includes(series)], [[], false]);
});
