import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { clusterIdentity, parseClusterIdentity } from "../../src/relay/relay-identity.ts";
import { newToken, parseToken } from "../../src/relay/token.ts";
import { seededRandom } from "../sim/world.ts";

const rootSha256 = "0123456789abcdef".repeat(4);
const expiresAt = 1_800_000_000_000;
const made = (cluster = "east") => newToken(seededRandom(7), { cluster: clusterId(cluster), rootSha256, expiresAt });

test("a token says whom it is for, when it ends, and by which root the manager is known", () => {
  const { text, ...kept } = made("East_1.b");
  assert.match(text, /^causeway-relay-1\.[A-Za-z0-9_-]+$/);
  assert.deepEqual(parseToken(`  ${text}\n`), kept);
  assert.deepEqual(
    [kept.cluster, kept.rootSha256, kept.expiresAt, kept.id.length, kept.hash.length],
    ["East_1.b", rootSha256, expiresAt, 16, 64],
  );
});

test("two tokens for one cluster share neither id nor hash", () => {
  const random = seededRandom(1);
  const shape = { cluster: clusterId("east"), rootSha256, expiresAt };
  const [one, two] = [newToken(random, shape), newToken(random, shape)];
  assert.notEqual(one.id, two.id);
  assert.notEqual(one.hash, two.hash);
});

test("a token that is cut is told apart from one that is mistyped, and from what is none", () => {
  const { text } = made();
  for (let length = "causeway-relay-1.".length; length < text.length - 1; length++)
    assert.throws(() => parseToken(text.slice(0, length)), /cut short/, String(length));
  assert.throws(() => parseToken(`${text}x`), /mistyped/);
  assert.throws(() => parseToken(text.replace(/.$/, (last) => (last === "A" ? "Q" : "A"))), /mistyped/);
  assert.throws(() => parseToken(""), /does not begin with causeway-relay-1\./);
  assert.throws(() => parseToken("eyJhbGciOi"), /give the line that causeway trust token printed/);
});

test("no single character of a token can be another", () => {
  const { text } = made();
  fc.assert(
    fc.property(
      fc.nat(text.length - 1),
      fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABC0123456789-_.+/="),
      (at, other) => {
        fc.pre(text[at] !== other);
        assert.throws(() => parseToken(text.slice(0, at) + other + text.slice(at + 1)), { code: "invalid" });
      },
    ),
    { seed: 7 },
  );
});

test("only its own name is a cluster's identity", () => {
  assert.equal(clusterIdentity(clusterId("east")), "spiffe://relay.causeway.dev/cluster/east");
  assert.equal(parseClusterIdentity("spiffe://relay.causeway.dev/cluster/East_1.b"), "East_1.b");
  for (const wrong of [
    "",
    "east",
    "spiffe://relay.causeway.dev/cluster/",
    "spiffe://relay.causeway.dev/cluster/a/b",
    "spiffe://relay.causeway.dev/cluster/..",
    "spiffe://relay.causeway.dev/cluster/east ",
    "SPIFFE://relay.causeway.dev/cluster/east",
    "spiffe://relay.causeway.dev/manager",
    "spiffe://cluster.local/cluster/east",
    "spiffe://relay.causeway.dev.evil/cluster/east",
    "spiffe://relay.causeway.dev/ns/cluster/sa/east",
  ])
    assert.throws(() => parseClusterIdentity(wrong), { code: "invalid" }, wrong);
});
