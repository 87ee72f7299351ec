import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { play } from "./transcript.ts";

/**
 * Which transcript, or which other test, covers which row of contract ztunnel.md 2.3 to 2.8, and which pitfall of
 * section 7 that the session layer can cause. The other pitfalls: 6 to 10, 12, 13, 21, 25 to 31 are about content
 * (test/xds/types, test/registry); 16 to 20 and 37 about certificates (test/ca); 22 to 24, 35, 36, 38 about transport.
 */
const covers: Readonly<Record<string, readonly string[]>> = {
  "2.3 initial request, wildcard": ["fresh", "fresh-empty"],
  "2.3 initial request, on-demand": ["on-demand"],
  "2.3 demand": ["on-demand"],
  "2.3 ACK": ["fresh"],
  "2.3 NACK": ["nack", "nack-texts"],
  "2.3 unsubscribe, which ztunnel never sends": ["subscriptions"],
  "2.3 initial_resource_versions: equal, different, empty, absent, gone": ["resume-unchanged", "resume-changes"],
  "2.3 keys still waiting have version empty": ["on-demand-resume"],
  "2.3 ztunnel before 1.31 gives no versions": ["resume-old-ztunnel"],
  "2.4.2, 2.4.5 a part of a response is rejected": ["nack", "sim"],
  "2.4.3 removals come after updates": ["service-returns", "session"],
  "2.4.4 services and workloads of one response in any order": ["chunks-companions", "sim"],
  "2.4.6 the gate stays closed after a NACK until a clean response": ["nack"],
  "2.4.7 the nonce is echoed": ["nonces"],
  "2.5 removal names": ["coalescing", "sim"],
  "2.5 a service that was removed has lost its endpoints": ["service-returns", "resume-endpoints", "sim"],
  "2.6 reconnect keeps state": ["resume-unchanged", "sim"],
  "2.6 a deadline makes the client reconnect": ["deadline", "slow-link"],
  "2.7 on-demand keys, and how waiters wake": ["on-demand", "on-demand-resume"],
  "2.8 the first request of a type is always answered": ["fresh-empty"],
  "2.8 error_detail present is a NACK": ["nack"],
  "2.8 another nonce is ignored": ["nonces"],
  "2.8 a matching nonce without a subscription change is an ACK": ["fresh"],
  "2.8 a subscription change is answered": ["on-demand", "subscriptions"],
  "2.8 names the client has: subscribed and initial, less unsubscribed": ["on-demand-resume", "many-names"],
  "2.8 address generator": ["fresh", "resume-changes", "on-demand"],
  "2.8 authorization generator": ["policy-withdrawal", "resume-changes"],
  "2.8 ordering (ours: policies first)": ["policies-before-workloads", "policy-withdrawal", "policy-wait"],
  "2.8 merging while one is in flight (ours: no debounce)": ["coalescing"],
  "2.8 change detection": ["fresh"],
  "2.8 node-local workloads": ["on-demand"],
  "2.11 split responses": ["chunks", "chunks-companions"],
  "1.5 node": ["bad-nodes"],
  "operations.md 4.4 no. 3, 7": ["bad-nodes"],
  "operations.md 4.4 no. 4": ["unknown-types"],
  "operations.md 4.4 no. 5": ["many-names", "session"],
  "operations.md 4.4 no. 6": ["nonces", "nack-texts", "session"],
  "operations.md 4.4 no. 8": ["subscriptions"],
  "pitfall 1": ["fresh-empty"],
  "pitfall 2": ["nack", "nack-first"],
  "pitfall 3": ["coalescing", "sim"],
  "pitfall 4": ["service-returns", "resume-endpoints", "chunks-companions", "sim"],
  "pitfall 5": ["health-policy", "nack-endpoints", "resume-endpoints", "sim"],
  "pitfall 11": ["policies-before-workloads", "policy-withdrawal", "policy-wait", "sim"],
  "pitfall 14": ["nack"],
  "pitfall 15": ["nack"],
  "pitfall 32": ["session", "sim"],
  "pitfall 33": ["fresh"],
  "pitfall 34": ["resume-changes", "resume-unchanged"],
};

/** Not transcripts: test/xds/delta-session.test.ts and test/sim. */
const elsewhere = new Set(["session", "sim"]);

const folder = join(import.meta.dirname, "..", "..", "..", "test", "transcripts");
const transcripts = readdirSync(folder)
  .filter((file) => file.endsWith(".txt"))
  .map((file) => file.slice(0, -".txt".length));

for (const name of transcripts)
  test(`transcript ${name}`, () => {
    const path = join(folder, `${name}.txt`);
    const written = readFileSync(path, "utf8");
    const played = play(written);
    if (process.env["UPDATE"] === "1") writeFileSync(path, played);
    else assert.equal(played, written, `${name}.txt is not what the server does; UPDATE=1 npm test rewrites it`);
    assert.match(played, /^server {2}/m, "a transcript in which the server says nothing shows nothing");
  });

test("every row of the contract that a session can break has a transcript, and every transcript a row", () => {
  const named = new Set(Object.values(covers).flat());
  assert.deepEqual(
    [...named].filter((name) => !transcripts.includes(name) && !elsewhere.has(name)),
    [],
  );
  assert.deepEqual(
    transcripts.filter((name) => !named.has(name)),
    [],
  );
});
