import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../src/names.ts";
import { grantKey, isNamedBy } from "../../src/peering/grants.ts";
import type { GrantLimit } from "../../src/registry/model/granted.ts";
import type { GrantScope } from "../../src/registry/model/peer-grant.ts";

const scope = (namespaces: readonly string[], services?: readonly string[]): GrantScope => ({ namespaces, services });
const limit = (...scopes: readonly GrantScope[]): GrantLimit => ({ by: "PeerGrant", scopes });

test("grants that say the same, in whatever order and by whomever, have one key", () => {
  const [a, b] = [scope(["x", "y"]), scope(["z"], ["s", "t"])];
  const bound: GrantLimit = { by: "Workspace", scopes: [a] };
  assert.equal(grantKey([limit(a, b)]), grantKey([limit(scope(["z"], ["t", "s"]), scope(["y", "x"]))]));
  assert.equal(grantKey([limit(b), bound]), grantKey([limit(a), { ...bound, scopes: [b] }]));
  const others = [[], [limit()], [limit(a)], [limit(b)], [limit(a, b)], [limit(a), limit(b)], [limit(a), limit()]];
  assert.equal(new Set(others.map(grantKey)).size, others.length);
});

test("a grant names a peer; a bound does not, nor does what may be one", () => {
  const west = { cluster: clusterId("west"), trustDomain: "west.example" };
  const grant = { bound: false, cluster: west.cluster, trustDomain: undefined, exports: undefined, imports: undefined };
  const names = (said: object): boolean => isNamedBy({ ...grant, ...said }, west);
  assert.deepEqual(
    [{}, { cluster: undefined }, { cluster: clusterId("east") }, { bound: true }, { bound: "unknown" }].map(names),
    [true, false, false, false, false],
  );
});
