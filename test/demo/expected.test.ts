import assert from "node:assert/strict";
import { test } from "mocha";
import { differences } from "../../src/demo/expected.ts";

const shared = new Map([
  [
    "bank",
    new Map([
      ["agent.accounts.mesh.internal", 3],
      ["converter.tools.mesh.internal", 1],
    ]),
  ],
  ["vendor", new Map([["converter.tools.mesh.internal", 2]])],
]);
const agent = { host: "agent.accounts.mesh.internal", vip: "240.240.0.1", endpoints: { bank: 3 } };
const converter = { host: "converter.tools.mesh.internal", vip: "240.240.0.2", endpoints: { bank: 1, vendor: 2 } };

test("a client that holds what all clusters share is as it should be", () => {
  assert.deepEqual(differences([agent, converter], shared), []);
});

test("what a client lacks, has too much of, or has of nobody, is named", () => {
  const short = { ...converter, endpoints: { bank: 1, edge: 4 } };
  const stray = { host: "ledger.ledger.mesh.internal", vip: "240.240.0.3", endpoints: {} };
  assert.deepEqual(differences([short, stray], shared), [
    "agent.accounts.mesh.internal is missing",
    "converter.tools.mesh.internal has 0 endpoints in vendor, and should have 2",
    "converter.tools.mesh.internal has 4 endpoints in edge, where nobody shares it",
    "ledger.ledger.mesh.internal is there, and nobody shares it",
  ]);
});
