import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { exportsTo, grantKey, importsFrom, takesIn, takesInNamespace } from "../../src/peering/grants.ts";
import type { GrantScope, PeerGrant } from "../../src/registry/model/peer-grant.ts";

const west = { cluster: clusterId("west"), trustDomain: "west.example" };
const nobody = { cluster: undefined, trustDomain: undefined, exports: undefined, imports: undefined };
const grant = (said: Partial<PeerGrant>): PeerGrant => ({ ...nobody, ...said });
const scope = (namespaces: readonly string[], services?: readonly string[]): GrantScope => ({ namespaces, services });

test("without a grant that limits it, a peer may read all that is shared", () => {
  assert.equal(exportsTo(west, []), "everything");
  assert.equal(exportsTo(west, [grant({ cluster: west.cluster, imports: scope(["shop"]) })]), "everything");
  assert.equal(
    exportsTo(west, [grant({ cluster: clusterId("east"), exports: scope([]) })]),
    "everything",
    "another's grant is not ours",
  );
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
  assert.equal(takesInNamespace(importsFrom(west, [grant({ imports: scope(["shop"], []) })]), "shop"), false);
});

test("what a peer may bring is limited apart from what it may read", () => {
  const grants = [grant({ cluster: west.cluster, imports: scope(["shop"]) })];
  assert.ok(
    takesInNamespace(importsFrom(west, grants), "shop") && !takesInNamespace(importsFrom(west, grants), "bank"),
  );
});

test("patterns match whole names, wherever their stars are, and never slowly", () => {
  const one = (pattern: string, text: string) => takesIn([scope([pattern])], text, "x");
  assert.deepEqual(
    [one("a*c", "abc"), one("a*c", "ac"), one("a*a", "a"), one("*", ""), one("*b*", "abc"), one("a", "ab")],
    [true, true, false, true, true, false],
  );
  assert.equal(one(`${"a*".repeat(100)}b`, "a".repeat(5_000)), false);
});

test("grants that say the same, in whatever order, have one key", () => {
  const [a, b] = [scope(["x", "y"]), scope(["z"], ["s", "t"])];
  assert.equal(grantKey([a, b]), grantKey([scope(["z"], ["t", "s"]), scope(["y", "x"])]));
  assert.equal(new Set([grantKey("everything"), grantKey([a]), grantKey([b]), grantKey([])]).size, 4);
});
