import assert from "node:assert/strict";
import { test } from "mocha";
import { peerClusterView, peerView } from "../../src/commands/peer-view.ts";
import { LinkLab, serviceOf } from "../peering/link-lab.ts";

test("peerz shows a link, how old its word is, and what of it was refused and why", async () => {
  const forged = serviceOf("forged", { identities: ["spiffe://cluster.local/ns/bank/sa/x"] });
  const lab = await LinkLab.live([serviceOf("payments"), forged]);
  const live = peerView(lab.peers.views()[0]!) as Record<string, unknown>;
  assert.deepEqual(
    [live["cluster"], live["gateway"], live["state"], live["reason"], live["ageSeconds"], live["services"]],
    ["west", "istio-eastwest/istio-remote-peer-west", "live", "ResourceRejected", 0, 1],
  );
  const denials = live["denials"] as readonly { readonly name: string; readonly reason: string }[];
  assert.deepEqual(
    [live["denied"], denials.map(({ name, reason }) => `${name} ${reason}`)],
    [1, ["west/bank/forged trust-domain"]],
  );
  lab.call.ended();
  await lab.pass(60_000);
  const stale = peerView(lab.peers.views()[0]!) as Record<string, unknown>;
  assert.deepEqual([stale["state"], stale["staleness"], stale["ageSeconds"]], ["stale", "within-grace", 60]);
  assert.equal(JSON.stringify(stale).includes("undefined"), false);
});

test("clusterz has a peer among the clusters, synced while it is live, with its Gateway and what is wrong", async () => {
  const lab = await LinkLab.live([]);
  const shown = () => peerClusterView(lab.peers.views()[0]!, "istiod-a.istio-system");
  assert.deepEqual(
    [shown().id, shown().secretName, shown().syncStatus, shown().reason, shown().staleMs],
    ["west", "Gateway istio-eastwest/istio-remote-peer-west", "synced", "", undefined],
  );
  lab.call.ended({ reason: "DialTimeout", message: "nobody answers" });
  await lab.pass(1_000);
  assert.deepEqual([shown().syncStatus, shown().reason, shown().staleMs], ["stale", "nobody answers", 1_000]);
});
