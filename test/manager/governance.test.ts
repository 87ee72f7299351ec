import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { boundsOf } from "../../src/manager/tenancy/governance.ts";
import type { Workspace, WorkspaceSettings } from "../../src/manager/objects/workspace-model.ts";
import { clusterId, type ClusterId } from "../../src/names.ts";
import { peerGrantObjects } from "../../src/plane/bound-grants.ts";
import { exportsTo, importsFrom, takesIn } from "../../src/registry/model/granted.ts";
import { inScope, matchesPattern } from "../../src/registry/model/peer-grant.ts";
import type { Bound } from "../../src/relay/messages.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";
import { testMesh } from "../registry/mesh.ts";
import { rule, settings, workspace } from "./workspaces.ts";

const CLUSTERS = ["east", "north", "west"].map(clusterId);
const NOTHING = { cluster: undefined, exports: [], imports: [] };
const scope = (namespaces: readonly string[], services?: readonly string[]) => ({ namespaces, services });
const bounds = (cluster: string, workspaces: readonly Workspace[], all: readonly WorkspaceSettings[] = []) =>
  boundsOf(clusterId(cluster), CLUSTERS, workspaces, all);

test("without any Workspace nothing is bound, and with the first everything is", () => {
  assert.equal(bounds("east", []), undefined);
  assert.equal(bounds("east", [], [settings("shop", { exportTo: [rule("*")] })]), undefined);
  assert.deepEqual(bounds("east", [workspace("empty", {})]), [NOTHING]);
});

test("within a Workspace sharing is free, both ways, and for its namespaces alone", () => {
  const shop = workspace("shop", { east: ["shop-*", "web"], west: ["shop"] });
  assert.deepEqual(bounds("east", [shop]), [
    { cluster: "west", exports: [scope(["shop-*", "web"])], imports: [scope(["shop"])] },
    NOTHING,
  ]);
  assert.deepEqual(bounds("west", [shop]), [
    { cluster: "east", exports: [scope(["shop"])], imports: [scope(["shop-*", "web"])] },
    NOTHING,
  ]);
  assert.deepEqual(bounds("north", [shop]), [NOTHING]);
});

const bank = workspace("bank", { east: ["bank"] });
const shops = workspace("shops", { west: ["shop"] });
const give = (...rules: Parameters<typeof rule>): WorkspaceSettings => settings("bank", { exportTo: [rule(...rules)] });
const take = (...rules: Parameters<typeof rule>): WorkspaceSettings =>
  settings("shops", { importFrom: [rule(...rules)] });

test("a Workspace shares with another what it exports and that one imports, and no more than both say", () => {
  const shared = (...all: readonly WorkspaceSettings[]) => bounds("east", [bank, shops], all)?.[0]?.exports;
  assert.deepEqual(shared(), [], "neither says so");
  assert.deepEqual(shared(give("shops")), [], "only one says so");
  assert.deepEqual(shared(take("bank")), [], "only the other says so");
  assert.deepEqual(shared(give("shops"), take("bank")), [scope(["bank"])]);
  assert.deepEqual(shared(give("sh*"), take("*")), [scope(["bank"])]);
  assert.deepEqual(shared(give("others"), take("bank")), []);
  assert.deepEqual(shared(give("shops", { services: ["api-*", "pay"] }), take("bank", { services: ["*-v1", "pay"] })), [
    scope(["bank"], ["api-*-v1", "api-v1", "pay"]),
  ]);
  assert.deepEqual(shared(give("shops", { namespaces: ["b*"] }), take("bank", { namespaces: ["*k"] })), [
    scope(["bank"]),
  ]);
  assert.deepEqual(shared(give("shops", { namespaces: ["vault"] }), take("bank")), [], "the namespace is not its own");
  assert.deepEqual(shared(give("shops", { clusters: ["west"] }), take("bank")), [], "of another cluster only");
  assert.deepEqual(shared(give("shops", { clusters: ["e*"] }), take("bank", { clusters: ["east"] })), [
    scope(["bank"]),
  ]);
});

test("both ends are bound: what one may export is what the other may import, and nothing flows back", () => {
  const all = [give("shops", { services: ["pay"] }), take("bank")];
  assert.deepEqual(bounds("east", [bank, shops], all), [
    { cluster: "west", exports: [scope(["bank"], ["pay"])], imports: [] },
    NOTHING,
  ]);
  assert.deepEqual(bounds("west", [bank, shops], all), [
    { cluster: "east", exports: [], imports: [scope(["bank"], ["pay"])] },
    NOTHING,
  ]);
});

test("an agreement of two Workspaces is none of a third, nor a way through the second", () => {
  const third = workspace("third", { north: ["x"] });
  const all = [
    give("shops"),
    settings("shops", { importFrom: [rule("bank")], exportTo: [rule("third")] }),
    settings("third", { importFrom: [rule("*")] }),
  ];
  assert.deepEqual(bounds("north", [bank, shops, third], all), [
    { cluster: "west", exports: [], imports: [scope(["shop"])] },
    NOTHING,
  ]);
});

test("a namespace in several Workspaces is shared by each of them, and said once", () => {
  const wide = workspace("wide", { east: ["*-shop", "bank"], west: ["y"] });
  const narrow = workspace("narrow", { east: ["bank", "eu-shop"], west: ["z"], north: ["z"] });
  const [north, west] = bounds("east", [wide, narrow])!;
  assert.deepEqual(west?.exports, [scope(["*-shop", "bank"])]);
  assert.deepEqual(north?.exports, [scope(["bank", "eu-shop"])]);
});

test("of two Workspaces with one name the older counts, and so with settings", () => {
  const young = workspace("bank", { east: ["vault"], west: ["vault"] }, { namespace: "other", createdMs: 9 });
  assert.deepEqual(bounds("east", [young, bank]), [NOTHING]);
  const all = [
    settings("bank", { exportTo: [rule("shops")] }, { namespace: "other", createdMs: 9 }),
    settings("bank", {}),
    take("bank"),
  ];
  assert.deepEqual(bounds("east", [bank, shops], all), [NOTHING]);
});

test("a Workspace that does not fit into an order is left out, and older ones stay", () => {
  const many = Array.from({ length: 256 }, (_, at) => `n${String(at).padStart(61, "0")}`);
  const workspaces = Array.from({ length: 200 }, (_, at) =>
    workspace(`w${at}`, { east: many.map((name) => `${at}${name.slice(3)}`), west: ["x"] }, { createdMs: at }),
  );
  const [west] = bounds("east", workspaces)!;
  const count = west!.exports[0]!.namespaces.length;
  assert.ok(count % 256 === 0 && count > 256 * 50 && count < 256 * 200, "whole Workspaces, as many as fit");
  assert.ok(west!.exports[0]!.namespaces.some((name) => name.startsWith("0")));
  assert.ok(JSON.stringify(west).length < 4 * 1024 * 1024);
});

const pattern = fc.constantFrom("a", "b", "ab", "a*", "*b", "*", "*a*");
const patterns = fc.array(pattern, { maxLength: 3 });
const clusterPattern = fc.constantFrom("east", "west", "north", "*st", "*");
const name = fc.constantFrom("one", "two", "three");
const sharingRule = fc
  .tuple(
    fc.array(fc.constantFrom("one", "two", "three", "t*", "*"), { minLength: 1, maxLength: 2 }),
    fc.option(
      fc.array(
        fc.record({
          clusters: fc.option(fc.array(clusterPattern, { minLength: 1, maxLength: 2 }), { nil: undefined }),
          namespaces: fc.option(patterns, { nil: undefined }),
          services: fc.option(patterns, { nil: undefined }),
        }),
        { maxLength: 2 },
      ),
      { nil: undefined },
    ),
  )
  .map(([workspaces, resources]) => ({ workspaces, resources }));
const tenants = fc.tuple(
  fc.uniqueArray(
    fc.record({
      name,
      workloadClusters: fc.array(fc.record({ name: clusterPattern, namespaces: patterns }), { maxLength: 2 }),
    }),
    { selector: (each) => each.name, minLength: 1 },
  ),
  fc.uniqueArray(
    fc.record({
      workspace: name,
      exportTo: fc.array(sharingRule, { maxLength: 2 }),
      importFrom: fc.array(sharingRule, { maxLength: 2 }),
    }),
    { selector: (each) => each.workspace },
  ),
);
type Tenants = readonly [readonly Workspace[], readonly WorkspaceSettings[]];
const made = tenants.map(([workspaces, all]): Tenants => [
  workspaces.map((each) => ({ ...workspace(each.name, {}), ...each })),
  all.map((each) => ({ ...settings(each.workspace, {}), ...each })),
]);

/** May `to` read a service of `from`? As the objects say it, without any set of patterns. */
function mayRead([workspaces, all]: Tenants, from: string, to: string, namespace: string, service: string): boolean {
  const fits = (some: readonly string[] | undefined, text: string) =>
    some === undefined || some.some((each) => matchesPattern(each, text));
  const owns = ({ workloadClusters }: Workspace) =>
    workloadClusters.some((each) => matchesPattern(each.name, from) && fits(each.namespaces, namespace));
  const isIn = ({ workloadClusters }: Workspace) =>
    workloadClusters.some((each) => matchesPattern(each.name, to) && each.namespaces.length > 0);
  const says = (rules: WorkspaceSettings["exportTo"] = [], other: Workspace) =>
    rules.some(
      ({ workspaces: named, resources }) =>
        fits(named, other.name) &&
        (resources === undefined ||
          resources.some(
            (each) => fits(each.clusters, from) && fits(each.namespaces, namespace) && fits(each.services, service),
          )),
    );
  const settingsOf = ({ name: its }: Workspace) => all.find((each) => each.workspace === its);
  return workspaces.some(
    (own) =>
      owns(own) &&
      (isIn(own) ||
        workspaces.some(
          (other) => isIn(other) && says(settingsOf(own)?.exportTo, other) && says(settingsOf(other)?.importFrom, own),
        )),
  );
}

const NAMES = ["a", "b", "ab", "ba", "aab"];
/** Registered, and one that is not. */
const PEERS = [...CLUSTERS, clusterId("south")];

function* questions(): Iterable<readonly [here: ClusterId, peer: ClusterId, namespace: string, service: string]> {
  for (const here of CLUSTERS)
    for (const peer of PEERS)
      if (peer !== here)
        for (const namespace of NAMES) for (const service of NAMES) yield [here, peer, namespace, service];
}

const registered = (tenancy: Tenants, from: ClusterId, to: ClusterId, namespace: string, service: string): boolean =>
  CLUSTERS.includes(from) && CLUSTERS.includes(to) && mayRead(tenancy, from, to, namespace, service);

test("whatever the Workspaces, bounds say of every service what the objects say", () => {
  const seen = new Set<boolean>();
  fc.assert(
    fc.property(made, (tenancy) => {
      const said = new Map(CLUSTERS.map((cluster) => [cluster, boundsOf(cluster, CLUSTERS, ...tenancy)!]));
      for (const [here, peer, namespace, service] of questions()) {
        const ownOrRest = (all: readonly Bound[]) =>
          all.find(({ cluster }) => cluster === peer) ?? all.find(({ cluster }) => cluster === undefined)!;
        const { exports, imports } = ownOrRest(said.get(here)!);
        const [out, back] = [exports, imports].map((scopes) =>
          scopes.some((each) => inScope(each, namespace, service)),
        );
        const where = `${here} ${peer} ${namespace} ${service}`;
        assert.equal(out, registered(tenancy, here, peer, namespace, service), `exports ${where}`);
        assert.equal(back, registered(tenancy, peer, here, namespace, service), `imports ${where}`);
        seen.add(out!);
      }
    }),
    fuzzing(100) as fc.Parameters<[Tenants]>,
  );
  assert.equal(seen.size, 2);
}).timeout(FUZZ_MS);

test("whatever the Workspaces, a control plane that reads the PeerGrants of its bounds decides as the objects say", () => {
  fc.assert(
    fc.property(made, (tenancy) => {
      for (const here of CLUSTERS) {
        const { registry } = testMesh(peerGrantObjects(boundsOf(here, CLUSTERS, ...tenancy), "istio-system"));
        const grants = Array.from(registry.peerGrants.entries(), ([, grant]) => grant);
        for (const [from, peer, namespace, service] of questions()) {
          if (from !== here) continue;
          const target = { cluster: peer, trustDomain: "cluster.local" };
          const where = `${here} ${peer} ${namespace} ${service}`;
          const out = takesIn(exportsTo(target, grants), namespace, service);
          assert.equal(out, registered(tenancy, here, peer, namespace, service), `exports ${where}`);
          const back = takesIn(importsFrom(target, grants), namespace, service);
          assert.equal(back, registered(tenancy, peer, here, namespace, service), `imports ${where}`);
        }
      }
    }),
    fuzzing(60) as fc.Parameters<[Tenants]>,
  );
}).timeout(FUZZ_MS);

test("the same objects in another order give the same bounds, to the letter", () => {
  fc.assert(
    fc.property(made, fc.nat(5), ([workspaces, all], by) => {
      const turned = <V>(items: readonly V[]): readonly V[] => [...items.slice(by), ...items.slice(0, by)].reverse();
      const reordered = turned(workspaces).map((each) => ({
        ...each,
        workloadClusters: turned(each.workloadClusters).map((part) => ({
          ...part,
          namespaces: turned(part.namespaces),
        })),
      }));
      for (const cluster of CLUSTERS)
        assert.equal(
          JSON.stringify(boundsOf(cluster, turned(CLUSTERS), reordered, turned(all))),
          JSON.stringify(boundsOf(cluster, CLUSTERS, workspaces, all)),
        );
    }),
    fuzzing(100) as fc.Parameters<[Tenants, number]>,
  );
}).timeout(FUZZ_MS);
