import assert from "node:assert/strict";
import { test } from "mocha";
import { exposeCommand } from "../../src/commands/multicluster-expose.ts";
import { linkCommand } from "../../src/commands/multicluster-link.ts";
import { repairCommand } from "../../src/commands/multicluster-repair.ts";
import { unlinkCommand } from "../../src/commands/multicluster-unlink.ts";
import { GATEWAYS, SERVICE_ENTRIES } from "../../src/kube/resource-types.ts";
import { TestAuthority } from "../kits/tls.ts";
import { LinkedLab, NAMESPACE, SYSTEM } from "./linked-lab.ts";

const root = await TestAuthority.create("CN=root");

/** Linked both ways; who made the Gateways is as a real API server says it. */
async function linked(manager = "causeway-link"): Promise<LinkedLab> {
  const lab = new LinkedLab();
  for (const [at, name] of ["east", "west"].entries()) {
    lab.cluster(name, root);
    await lab.run(exposeCommand, "--context", name);
    lab.program(name, `192.0.2.${at + 1}`);
  }
  assert.equal((await lab.run(linkCommand, "--contexts", "east,west")).code, 0);
  for (const [name, peer] of [
    ["east", "west"],
    ["west", "east"],
  ] as const) {
    const gateway = remote(lab, name, peer)!;
    const managedFields = [{ manager, operation: "Apply", fieldsV1: { "f:spec": {} } }];
    lab.servers.get(name)!.put({ ...gateway, metadata: { ...gateway.metadata, managedFields } });
  }
  return lab;
}

const remote = (lab: LinkedLab, cluster: string, peer: string) =>
  lab.servers.get(cluster)!.get(GATEWAYS, NAMESPACE, `istio-remote-peer-${peer}`);

function entry(lab: LinkedLab, name: string, clusters: string | undefined, made = true): void {
  const labels = made
    ? {
        "app.kubernetes.io/managed-by": "causeway",
        "solo.io/parent-service": name,
        "solo.io/parent-service-namespace": "shop",
      }
    : {};
  const annotations = clusters === undefined ? {} : { "peering.causeway.dev/clusters": clusters };
  const metadata = { name: `autogen.shop.${name}`, namespace: SYSTEM, labels, annotations };
  lab.servers.get("east")!.put({ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry", metadata, spec: {} });
}

test("unlink takes back what link made, both ways or one, and leaves the ways in", async () => {
  const lab = await linked();
  await lab.run(unlinkCommand, "--from", "east", "--to", "west", "--one-way");
  assert.equal(remote(lab, "east", "west"), undefined);
  assert.ok(remote(lab, "west", "east"));
  assert.equal((await lab.run(unlinkCommand, "--contexts", "east,west")).code, 0);
  assert.equal(remote(lab, "west", "east"), undefined);
  assert.ok(lab.servers.get("west")!.get(GATEWAYS, NAMESPACE, "istio-eastwest"));
});

test("unlink --dry-run says what would go, and takes nothing", async () => {
  const lab = await linked();
  const { out } = await lab.run(unlinkCommand, "--contexts", "east,west", "--dry-run");
  assert.match(out, /cluster east: Gateway istio-eastwest\/istio-remote-peer-west would be deleted/);
  assert.ok(remote(lab, "east", "west"));
});

test("unlink leaves a Gateway that somebody else has, and says so", async () => {
  const lab = await linked("helm");
  const { code, err } = await lab.run(unlinkCommand, "--contexts", "east,west");
  assert.equal(code, 1);
  assert.match(err, /was not made by link alone, and stays/);
  assert.ok(remote(lab, "east", "west"));
});

test("unlink is refused where nobody would answer for a service any more, unless it is forced", async () => {
  const lab = await linked();
  lab.service("west", "books");
  const refused = await lab.run(unlinkCommand, "--contexts", "east,west");
  assert.equal(refused.code, 1);
  assert.match(refused.err, /cluster east: nobody would answer for service shop\/books any more/);
  assert.ok(remote(lab, "east", "west"));
  assert.equal((await lab.run(unlinkCommand, "--contexts", "east,west", "--force")).code, 0);
  assert.equal(remote(lab, "east", "west"), undefined);
});

test("a service that has ready endpoints of its own loses nothing", async () => {
  const lab = await linked();
  for (const name of ["east", "west"]) {
    lab.service(name, "cart");
    const metadata = { name: "cart-1", namespace: "shop", labels: { "kubernetes.io/service-name": "cart" } };
    const endpoints = [{ addresses: ["10.0.0.1"], conditions: { ready: true } }];
    lab.servers.get(name)!.put({ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, endpoints });
  }
  assert.equal((await lab.run(unlinkCommand, "--contexts", "east,west")).code, 0);
});

test("a cluster that is gone is unlinked by its ID, by what the control plane wrote of its services", async () => {
  const lab = await linked();
  const unknown = await lab.run(unlinkCommand, "--context", "east", "--peer", "west");
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /what west shares is not known/);
  entry(lab, "books", "west,north");
  const { code, err } = await lab.run(unlinkCommand, "--context", "east", "--peer", "west");
  assert.equal(code, 0, err);
  assert.equal(remote(lab, "east", "west"), undefined);
});

test("repair removes entries of clusters that nothing leads to, and leaves what is not provably so", async () => {
  const lab = await linked();
  entry(lab, "gone", "north");
  entry(lab, "linked", "north,west");
  entry(lab, "own", "east,north");
  entry(lab, "silent", undefined);
  entry(lab, "mine", "north", false);
  const names = (): readonly string[] =>
    lab.servers
      .get("east")!
      .list(SERVICE_ENTRIES)
      .map(({ metadata }) => metadata.name);
  const dry = await lab.run(repairCommand, "--orphans", "--dry-run", "--context", "east");
  assert.match(dry.out, /ServiceEntry istio-system\/autogen\.shop\.gone would be deleted/);
  assert.equal(names().length, 5);
  const { code, err } = await lab.run(repairCommand, "--orphans", "--context", "east");
  assert.equal(code, 0);
  assert.match(err, /autogen\.shop\.silent stays: it does not say for which cluster it is/);
  assert.match(err, /autogen\.shop\.mine stays: no control plane says that it made it/);
  assert.deepEqual(
    [...names()].sort(),
    ["linked", "mine", "own", "silent"].map((name) => `autogen.shop.${name}`),
  );
});

test("repair removes nothing where it may not read which clusters are read", async () => {
  const lab = await linked();
  entry(lab, "gone", "north");
  lab.servers.get("east")!.faults.forbidden = ({ resource }) => resource === "secrets";
  const { out, err } = await lab.run(repairCommand, "--orphans", "--context", "east");
  assert.match(out, /no entry that is certain to be an orphan/);
  assert.match(err, /whom this cluster reads is not known/);
  assert.ok(lab.servers.get("east")!.get(SERVICE_ENTRIES, SYSTEM, "autogen.shop.gone"));
});

for (const [what, command, words] of [
  ["link", linkCommand, ["--contexts", "east,west"]],
  ["unlink", unlinkCommand, ["--contexts", "east,west"]],
  ["repair", repairCommand, ["--orphans", "--contexts", "east,west"]],
] as const)
  test(`${what} says which rights are missing, and takes nothing hidden for nothing there`, async () => {
    const lab = await linked();
    lab.servers.get("west")!.faults.forbidden = ({ resource }) => ["gateways", "namespaces"].includes(resource);
    const { code, out, err } = await lab.run(command, ...words);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /context west one may not list gateways\.gateway\.networking\.k8s\.io and list namespaces/);
    assert.match(err, /Nothing was changed, in no cluster/);
    assert.ok(remote(lab, "east", "west"));
  });

test("unlink is refused where it may not see what the peer shares, unless it is forced", async () => {
  const lab = await linked();
  lab.service("west", "books");
  lab.servers.get("west")!.faults.forbidden = ({ resource }) => resource === "services";
  const { code, err } = await lab.run(unlinkCommand, "--contexts", "east,west");
  assert.equal(code, 1);
  assert.match(err, /cluster east: what west shares is not known: services is forbidden/);
  assert.ok(remote(lab, "east", "west"));
  assert.equal((await lab.run(unlinkCommand, "--contexts", "east,west", "--force")).code, 0);
  assert.equal(remote(lab, "east", "west"), undefined);
});
