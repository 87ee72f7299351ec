import assert from "node:assert/strict";
import { test } from "mocha";
import { judgeWorkspaces } from "../../src/manager/tenancy/workspace-judgements.ts";
import type { Workspace, WorkspaceSettings } from "../../src/manager/objects/workspace-model.ts";
import { clusterId } from "../../src/names.ts";
import { rule, settings, workspace } from "./workspaces.ts";

const CLUSTERS = ["east", "north", "west"].map(clusterId);
/** State and sentences of each object, by its title. */
function judged(workspaces: readonly Workspace[], all: readonly WorkspaceSettings[] = []): ReadonlyMap<string, string> {
  const judgements = judgeWorkspaces(CLUSTERS, workspaces, all);
  assert.equal(judgements.length, workspaces.length + all.length, "one for each object");
  return new Map(
    judgements.map(({ id, state, messages }) => [
      `${id.kind} ${id.namespace}/${id.name}`,
      [state, ...messages].join("\n"),
    ]),
  );
}

test("guide 001's Workspace, which exports to itself, is accepted, and so are its settings", () => {
  const bank = workspace("bank", { east: ["bank-*"], west: ["bank-*", "external-attacker"] });
  const its = settings("bank", { exportTo: [rule("bank")], importFrom: [rule("bank")] });
  assert.deepEqual(
    [...judged([bank], [its])],
    [
      ["Workspace gloo-mesh/bank", "ACCEPTED"],
      ["WorkspaceSettings gloo-mesh/bank", "ACCEPTED"],
    ],
  );
});

test("a Workspace of a cluster that nobody registered, or of nothing, says so", () => {
  const said = judged([
    workspace("typo", { esat: ["shop"], "w*": ["y"] }),
    workspace("empty", {}),
    workspace("none", { east: [] }),
  ]);
  assert.match(
    said.get("Workspace gloo-mesh/typo")!,
    /^WARNING\nspec\.workloadClusters\[0\]\.name is esat, and no Kub/,
  );
  assert.match(
    said.get("Workspace gloo-mesh/empty")!,
    /^WARNING\nspec\.workloadClusters is empty: it takes in nothing/,
  );
  assert.match(said.get("Workspace gloo-mesh/none")!, /^WARNING\nspec\.workloadClusters\[0\]\.namespaces is empty/);
});

test("Workspaces with namespaces in common are both told which, and of whom", () => {
  const said = judged([
    workspace("a", { east: ["shop-*"], west: ["x"] }),
    workspace("b", { "*": ["*-eu"] }),
    workspace("c", { west: ["shop-eu-2"] }),
  ]);
  const of = (name: string) => said.get(`Workspace gloo-mesh/${name}`)!;
  assert.match(
    of("a"),
    /^WARNING\nspec\.workloadClusters takes in shop-\*-eu of cluster east, and so does Workspace b:/,
  );
  assert.match(of("b"), /^WARNING\n.* of cluster east, and so does Workspace a: .* narrow one of them unless/);
  assert.equal(of("c"), "ACCEPTED");
});

test("of two with one name the younger is told that it has no effect, and which one has", () => {
  const young = workspace("bank", { east: ["x"] }, { namespace: "other", createdMs: 9 });
  const said = judged([young, workspace("bank", { east: ["bank"] })]);
  assert.match(
    said.get("Workspace other/bank")!,
    /^INVALID\nIt has no effect: Workspace gloo-mesh\/bank, which is older,/,
  );
  assert.equal(said.get("Workspace gloo-mesh/bank"), "ACCEPTED");
  const both = [settings("bank", {}, { namespace: "other", createdMs: 9 }), settings("bank", {})];
  const of = judged([workspace("bank", { east: ["bank"] })], both);
  assert.match(
    of.get("WorkspaceSettings other/bank")!,
    /^INVALID\n.*WorkspaceSettings gloo-mesh\/bank, which is older/,
  );
  assert.equal(of.get("WorkspaceSettings gloo-mesh/bank"), "ACCEPTED");
});

test("settings without a Workspace of their name have no effect, and say so", () => {
  const said = judged([workspace("bank", { east: ["bank"] })], [settings("default", { exportTo: [rule("*")] })]);
  assert.match(
    said.get("WorkspaceSettings gloo-mesh/default")!,
    /^INVALID\n.*there is no Workspace default.*rename this\.$/,
  );
});

test("settings that name no Workspace that there is, or one that does not answer, say what is missing", () => {
  const workspaces = [workspace("bank", { east: ["bank"] }), workspace("shops", { west: ["shop"] })];
  const said = (bank: Parameters<typeof settings>[1], shops: Parameters<typeof settings>[1] = {}) =>
    judged(workspaces, [settings("bank", bank), settings("shops", shops)]).get("WorkspaceSettings gloo-mesh/bank")!;
  assert.match(
    said({ exportTo: [rule("*"), rule(["shops", "shop"])] }, { importFrom: [rule("bank")] }),
    /^WARNING\nspec\.exportTo\[1\]\.workspaces\[1\]\.name is shop, and there is no such Workspace: create it, or correct/,
  );
  assert.match(
    said({ exportTo: [rule("shops")] }),
    /^WARNING\nspec\.exportTo\[0\].* Workspace shops does not import from bank: .*spec\.importFrom of WorkspaceSettings shops/,
  );
  assert.match(
    said({ importFrom: [rule("shops")] }, { importFrom: [rule("bank")] }),
    /^WARNING\nspec\.importFrom\[0\].* does not export to bank: nothing is shared until spec\.exportTo of/,
  );
  assert.equal(said({ importFrom: [rule("shops")] }, { exportTo: [rule("b*")] }), "ACCEPTED");
  assert.equal(said({ importFrom: [rule("*")] }), "ACCEPTED", "of a pattern nobody expects that all answer");
});

test("a Workspace that says the same thing of many others says ten, and how many more there are", () => {
  const crowd = Array.from({ length: 20 }, (_, at) => workspace(`w${at}`, { east: ["shop"] }));
  const lines = judged(crowd).get("Workspace gloo-mesh/w0")!.split("\n");
  assert.deepEqual([lines.length, lines.at(-1)], [12, "There are 9 more such."]);
});

test("what does not fit into an order, or cannot be said, is told to the Workspace that shares it", () => {
  const many = Array.from({ length: 64 }, (_, at) => String(at).padStart(56, "0"));
  const crowd = Array.from({ length: 150 }, (_, at) => {
    const own = many.map((name) => `n${at}x${name}`);
    return workspace(`w${at}`, { east: own, north: own, west: own }, { createdMs: at });
  });
  const said = judged(crowd);
  assert.match(
    said.get("Workspace gloo-mesh/w149")!,
    /It shares nothing at cluster (east|north|west): the bounds of that would/,
  );
  assert.doesNotMatch(said.get("Workspace gloo-mesh/w0")!, /shares nothing/);
  const stars = judged(
    [workspace("a", { east: ["*"] }), workspace("b", { west: ["y"] })],
    [
      settings("a", { exportTo: [rule("b", { services: ["*a*b*c*d*e*f*g*h*"] })] }),
      settings("b", { importFrom: [rule("a", { services: ["*s*t*u*v*w*x*y*z*"] })] }),
    ],
  );
  assert.match(
    stars.get("Workspace gloo-mesh/a")!,
    /does not share with Workspace b what both agree on: .* use fewer stars/,
  );
}).timeout(20_000);
