import assert from "node:assert/strict";
import { test } from "mocha";
import { nodeAgents } from "../../src/spire/node-agents.ts";
import type { SpireAgent } from "../../src/spire/spire.ts";

const agent = (id: string, selectors: readonly string[], more: Partial<SpireAgent> = {}): SpireAgent => ({
  id: `spiffe://td/spire/agent/${id}`,
  attestationType: "k8s_psat",
  selectors,
  banned: false,
  expiresAt: 2_000,
  ...more,
});
const EAST = "k8s_psat:cluster:east";
const on = (node: string): string => `k8s_psat:agent_node_name:${node}`;

test("an agent speaks for the node that its selectors or its id name, in its own cluster only", () => {
  const { byName, byUid } = nodeAgents(
    [
      agent("k8s_psat/east/u1", [EAST, on("n1")]),
      agent("k8s_psat/east/pod/p2", [EAST, on("n2"), "k8s_psat:agent_node_uid:u2"]),
      agent("k8s_psat/east/u3", []),
      agent("k8s_psat/west/u4", ["k8s_psat:cluster:west", on("n4")]),
      agent("join_token/abc", ["join_token:x"]),
    ],
    "east",
    1_000,
  );
  const id = (path: string) => `spiffe://td/spire/agent/k8s_psat/east/${path}`;
  assert.deepEqual(Object.fromEntries(byName), { n1: id("u1"), n2: id("pod/p2") });
  assert.deepEqual(Object.fromEntries(byUid), { u1: id("u1"), u2: id("pod/p2"), u3: id("u3") });
});

test("one that is banned or expired speaks for nobody, and of two for a node the newer does, in whatever order", () => {
  const agents = [
    agent("k8s_psat/east/pod/new", [EAST, on("n1")], { expiresAt: 3_000 }),
    agent("k8s_psat/east/pod/old", [EAST, on("n1")]),
    agent("k8s_psat/east/pod/banned", [EAST, on("n1")], { expiresAt: 4_000, banned: true }),
    agent("k8s_psat/east/pod/expired", [EAST, on("n2")], { expiresAt: 1_000 }),
  ];
  for (const list of [agents, [...agents].reverse()])
    assert.deepEqual(
      [...nodeAgents(list, "east", 1_000).byName],
      [["n1", "spiffe://td/spire/agent/k8s_psat/east/pod/new"]],
    );
});

test("the name of a cluster is no pattern", () => {
  assert.equal(nodeAgents([agent("k8s_psat/eXst/u1", [])], "e.st", 1_000).byUid.size, 0);
});
