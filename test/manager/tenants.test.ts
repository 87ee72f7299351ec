import assert from "node:assert/strict";
import { test } from "mocha";
import type { TrustPlan } from "../../src/manager/plan/plan.ts";
import { LateTenants } from "../../src/manager/tenancy/tenants.ts";
import { clusterId } from "../../src/names.ts";
import { TestHost } from "../kits/test-host.ts";
import { workspace } from "./workspaces.ts";

const [EAST, WEST] = [clusterId("east"), clusterId("west")];

function planOf(clusters: readonly string[], workspaces: TrustPlan["workspaces"]): TrustPlan {
  const registered = new Map(clusters.map((name) => [clusterId(name), {}])) as unknown as TrustPlan["clusters"];
  const nothing = { policy: undefined, whyNone: "", doubtful: new Map(), settings: [], judgements: [] } as const;
  return { ...nothing, clusters: registered, workspaces };
}

test("Workspaces and clusters that are gone for a moment bound as before; after two minutes they do not", () => {
  const host = new TestHost();
  const tenants = new LateTenants(host.clock);
  const one = workspace("one", { "*": ["*"] });
  assert.deepEqual(tenants.of(planOf([], [])).workspaces, [], "where none ever was, nothing is bounded");
  assert.deepEqual(tenants.of(planOf(["east", "west"], [one])), { workspaces: [one], settings: [], clusters: [EAST, WEST] }); // prettier-ignore
  const held = tenants.of(planOf(["east"], []));
  assert.deepEqual([held.workspaces, held.clusters], [[one], [EAST, WEST]]);
  host.clock.advance(119_000);
  assert.deepEqual(tenants.of(planOf(["east"], [])).workspaces, [one]);
  host.clock.advance(1_000);
  const { workspaces, clusters } = tenants.of(planOf(["east"], []));
  assert.deepEqual([workspaces, clusters], [[], [EAST]]);
});
