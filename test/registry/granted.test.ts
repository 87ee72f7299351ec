import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import {
  exportsTo,
  type GrantLimit,
  importsFrom,
  limitAgainst,
  limitAgainstNamespace,
  takesIn,
} from "../../src/registry/model/granted.ts";
import type { GrantScope, PeerGrant } from "../../src/registry/model/peer-grant.ts";

const west = { cluster: clusterId("west"), trustDomain: "west.example" };
const nobody = { bound: false, cluster: undefined, trustDomain: undefined, exports: undefined, imports: undefined };
const grant = (said: Partial<PeerGrant>): PeerGrant => ({ ...nobody, ...said });
const scope = (namespaces: readonly string[], services?: readonly string[]): GrantScope => ({ namespaces, services });

test("without a grant that limits it, a peer may read all that is shared", () => {
  assert.deepEqual(exportsTo(west, []), []);
  assert.deepEqual(exportsTo(west, [grant({ cluster: west.cluster, imports: scope(["shop"]) })]), []);
  assert.deepEqual(
    exportsTo(west, [grant({ cluster: clusterId("east"), exports: scope([]) })]),
    [],
    "another's grant is not ours",
  );
  assert.ok(takesIn([], "shop", "cart"));
});

test("grants for one peer add up, by its cluster, its trust domain, or both", () => {
  const granted = exportsTo(west, [
    grant({ cluster: west.cluster, exports: scope(["shop"]) }),
    grant({ trustDomain: "west.example", exports: scope(["bank-*"], ["teller"]) }),
    grant({ cluster: west.cluster, trustDomain: "other.example", exports: scope(["*"]) }),
  ]);
  const may = (namespace: string, name: string) => takesIn(granted, namespace, name);
  assert.deepEqual(
    [
      may("shop", "cart"),
      may("bank-eu", "teller"),
      may("bank-eu", "vault"),
      may("bank", "teller"),
      may("shopping", "x"),
    ],
    [true, true, false, false, false],
  );
});

test("a grant of nothing is nothing, not everything", () => {
  const granted = exportsTo(west, [grant({ cluster: west.cluster, exports: scope([]) })]);
  assert.equal(takesIn(granted, "shop", "cart"), false);
  assert.ok(limitAgainstNamespace(importsFrom(west, [grant({ imports: scope(["shop"], []) })]), "shop"));
});

test("what a peer may bring is limited apart from what it may read", () => {
  const grants = [grant({ cluster: west.cluster, imports: scope(["shop"]) })];
  assert.equal(limitAgainstNamespace(importsFrom(west, grants), "shop"), undefined);
  assert.ok(limitAgainstNamespace(importsFrom(west, grants), "bank"));
  assert.ok(takesIn(exportsTo(west, grants), "bank", "vault"));
});

test("patterns match whole names, wherever their stars are, and never slowly", () => {
  const one = (pattern: string, text: string) => takesIn([{ by: "PeerGrant", scopes: [scope([pattern])] }], text, "x");
  assert.deepEqual(
    [one("a*c", "abc"), one("a*c", "ac"), one("a*a", "a"), one("*", ""), one("*b*", "abc"), one("a", "ab")],
    [true, true, false, true, true, false],
  );
  assert.equal(one(`${"a*".repeat(100)}b`, "a".repeat(5_000)), false);
});

const bound = (said: Partial<PeerGrant>): PeerGrant => grant({ bound: true, ...said });
const shopAlone = bound({ cluster: west.cluster, exports: scope(["shop"]), imports: scope([]) });
const others = bound({ exports: scope([]), imports: scope([]) });
/** Who keeps out each of `shop/cart`, `bank/teller` and `vault/key`. */
const against = (...grants: readonly PeerGrant[]): readonly (GrantLimit["by"] | undefined)[] =>
  [
    ["shop", "cart"],
    ["bank", "teller"],
    ["vault", "key"],
  ].map(([namespace, name]) => limitAgainst(exportsTo(west, grants), namespace!, name!)?.by);

test("a bound narrows what grants give, and gives nothing that they do not", () => {
  const bank = grant({ cluster: west.cluster, exports: scope(["bank", "vault"]) });
  assert.deepEqual(against(shopAlone), [undefined, "Workspace", "Workspace"]);
  assert.deepEqual(against(bank), ["PeerGrant", undefined, undefined]);
  assert.deepEqual(against(bank, shopAlone), ["PeerGrant", "Workspace", "Workspace"]);
  const teller = bound({ cluster: west.cluster, exports: scope(["*"], ["teller"]) });
  assert.deepEqual(against(bank, shopAlone, teller), ["PeerGrant", undefined, "Workspace"], "bounds add up");
});

test("a bound for the rest is for peers that have none of their own, in that direction", () => {
  assert.deepEqual(against(others), ["Workspace", "Workspace", "Workspace"]);
  assert.deepEqual(against(others, shopAlone), [undefined, "Workspace", "Workspace"]);
  const everything = bound({ exports: scope(["*"]) });
  assert.deepEqual(against(everything, shopAlone), [undefined, "Workspace", "Workspace"], "it adds nothing to others");
  const importsAlone = bound({ cluster: west.cluster, imports: scope(["*"]) });
  assert.deepEqual(against(others, importsAlone), ["Workspace", "Workspace", "Workspace"]);
  assert.equal(limitAgainst(importsFrom(west, [others, importsAlone]), "shop", "cart"), undefined);
});

test("what may be a grant or a bound, as it cannot be read, counts as both", () => {
  const [all, doubtful] = [grant({ exports: scope(["*"]) }), grant({ bound: "unknown", exports: scope([]) })];
  assert.deepEqual(against(all, doubtful), ["Workspace", "Workspace", "Workspace"]);
  assert.deepEqual(against(doubtful), ["PeerGrant", "PeerGrant", "PeerGrant"]);
});
