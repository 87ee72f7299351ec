import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { exposeCommand } from "../../src/commands/multicluster-expose.ts";
import { linkCommand } from "../../src/commands/multicluster-link.ts";
import { unlinkCommand } from "../../src/commands/multicluster-unlink.ts";
import { GATEWAYS } from "../../src/kube/resource-types.ts";
import type { Ran } from "../commands/served-mesh.ts";
import { TestAuthority } from "../kits/tls.ts";
import { LinkedLab, NAMESPACE, SYSTEM } from "./linked-lab.ts";

const root = await TestAuthority.create("CN=root");
const GLOBAL = { "solo.io/service-scope": "global" };

/** Clusters that could be linked, each exposed at an address of its own. */
async function exposed(...names: readonly string[]): Promise<LinkedLab> {
  const lab = new LinkedLab();
  for (const [at, name] of names.entries()) {
    lab.cluster(name, root);
    assert.equal((await lab.run(exposeCommand, "--context", name)).code, 0);
    lab.program(name, `192.0.2.${at + 1}`);
  }
  return lab;
}

function grant(lab: LinkedLab, cluster: string, name: string, spec: object, labels: object = {}): void {
  const metadata = { name, namespace: SYSTEM, labels } as { name: string };
  lab.servers.get(cluster)!.put({ apiVersion: "peering.causeway.dev/v1alpha1", kind: "PeerGrant", metadata, spec });
}

/** A cluster joins a segment, which it has with these alias patterns. */
function segment(lab: LinkedLab, cluster: string, name: string, ...patterns: readonly string[]): void {
  const server = lab.servers.get(cluster)!;
  const labels = { "topology.istio.io/network": `net-${cluster}`, "admin.solo.io/segment": name };
  server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: SYSTEM, labels } });
  const spec = { domain: `${name}.example`, aliases: patterns.map((pattern) => ({ pattern })) };
  server.put({ apiVersion: "admin.solo.io/v1alpha1", kind: "Segment", metadata: { name, namespace: SYSTEM }, spec });
}

/** What a dry run says beside the objects that it would make. `UPDATE=1` writes it anew. */
function holds(name: string, { out, err }: Pick<Ran, "out" | "err">): void {
  const path = join(import.meta.dirname, "..", "..", "..", "test", "linking", "golden", `${name}.txt`);
  const actual = (out + err)
    .split("\n")
    .filter((line) => !/^([-+@]| )/.test(line) || /^ {2}\S/.test(line))
    // Roots are made anew for each run.
    .map((line) => line.replaceAll(/roots [0-9a-f]{8}/g, "roots 01234567"))
    .join("\n");
  if (process.env["UPDATE"] === "1") writeFileSync(path, actual);
  assert.equal(actual, readFileSync(path, "utf8"), `${name}.txt is not what is said; UPDATE=1 npm test rewrites it`);
}

test("a dry run says which services PeerGrants and Workspaces would leave out, and which object says so", async () => {
  const lab = await exposed("east", "west");
  for (const name of ["cart", "books", "ledger", "audit"]) lab.service("west", name);
  lab.endpoints("west", "cart", 3);
  lab.service("east", "cart");
  lab.endpoints("east", "cart", 2, 1);
  grant(lab, "west", "for-east", {
    cluster: "east",
    export: { namespaces: ["shop"], services: ["cart", "books", "ledger"] },
  });
  const bound = { "trust.causeway.dev/bound": "true", "app.kubernetes.io/managed-by": "causeway" };
  const names = { namespaces: ["shop"], services: ["cart", "books"] };
  grant(lab, "west", "workspace-bound.east.0", { cluster: "east", export: names }, bound);
  grant(lab, "east", "of-west", { cluster: "west", import: { namespaces: ["shop"], services: ["cart"] } });
  // Of others it says nothing.
  grant(lab, "west", "for-north", { cluster: "north", export: { namespaces: [] } });
  const ran = await lab.run(linkCommand, "--contexts", "east,west", "--dry-run");
  assert.equal(ran.code, 0, ran.err);
  holds("link-grants", ran);
  const { sharing } = JSON.parse(
    (await lab.run(linkCommand, "--contexts", "east,west", "--dry-run", "-o", "json")).out,
  ) as { sharing: { reader: string; service: string; verdict: string; cause?: { object: string; cluster: string } }[] };
  assert.deepEqual(
    sharing
      .filter(({ reader }) => reader === "east")
      .map(({ service, verdict, cause }) => [service, cause?.object ?? verdict, cause?.cluster]),
    [
      ["shop/audit", `PeerGrant ${SYSTEM}/for-east`, "west"],
      ["shop/books", `PeerGrant ${SYSTEM}/of-west`, "east"],
      ["shop/cart", "joins east", undefined],
      ["shop/ledger", `PeerGrant ${SYSTEM}/workspace-bound.east.0`, "west"],
    ],
  );
});

test("a dry run says which aliases would lead to more, and which segments keep services apart", async () => {
  const lab = await exposed("east", "west", "north");
  for (const name of ["east", "west"]) segment(lab, name, "prod", "{service}.{namespace}.api.example");
  segment(lab, "north", "prod", "{service}.north.example");
  lab.service("east", "cart");
  lab.endpoints("east", "cart", 1);
  lab.service("west", "cart");
  lab.endpoints("west", "cart", 2);
  lab.service("north", "cart");
  lab.service("north", "books", { labels: { "solo.io/service-scope": "segment" } });
  const ran = await lab.run(linkCommand, "--contexts", "east,west,north", "--dry-run");
  assert.equal(ran.code, 0, ran.err);
  holds("link-segments", ran);
});

test("a dry run counts the clusters that a service would gain, and what it has already is no gain", async () => {
  const lab = await exposed("east", "west", "north");
  assert.equal((await lab.run(linkCommand, "--contexts", "east,west")).code, 0);
  for (const [at, name] of ["east", "west", "north"].entries()) {
    lab.service(name, "cart");
    lab.endpoints(name, "cart", at + 1);
  }
  lab.service("west", "books");
  lab.service("north", "books", { labels: { ...GLOBAL, "solo.io/service-takeover": "true" } });
  const ran = await lab.run(linkCommand, "--contexts", "east,west,north", "--dry-run");
  assert.equal(ran.code, 0, ran.err);
  holds("link-third", ran);
});

test("a dry run says what would be shared also where something is in the way of the link", async () => {
  const lab = await exposed("east");
  lab.cluster("west", root);
  lab.service("west", "books");
  const { code, out } = await lab.run(linkCommand, "--from", "east", "--to", "west", "--one-way", "--dry-run");
  assert.equal(code, 1);
  assert.match(out, /CWY3003 cluster west has no east-west gateway/);
  assert.match(out, /CWY3021 cluster east would get books\.shop\.mesh\.internal from west/);
});

test("what may not be read makes a dry run say what it does not know", async () => {
  const lab = await exposed("east", "west");
  lab.service("west", "books");
  lab.endpoints("west", "books", 1);
  lab.servers.get("west")!.faults.forbidden = ({ resource }) => ["peergrants", "pods"].includes(resource);
  const { out } = await lab.run(linkCommand, "--from", "east", "--to", "west", "--one-way", "--dry-run");
  assert.match(out, /CWY3020 What PeerGrants and Workspaces leave out in cluster west is not known: peergrants/);
  assert.match(out, /would get books\.shop\.mesh\.internal from west \(readiness not known\)/);
});

/** Linked both ways, by Gateways that are as link makes them. */
async function linked(...names: readonly string[]): Promise<LinkedLab> {
  const lab = await exposed(...names);
  assert.equal((await lab.run(linkCommand, "--contexts", names.join(","))).code, 0);
  for (const server of lab.servers.values())
    for (const gateway of server.list(GATEWAYS)) {
      const managedFields = [{ manager: "causeway-link", operation: "Apply", fieldsV1: { "f:spec": {} } }];
      if (gateway.metadata.name.startsWith("istio-remote-peer"))
        server.put({ ...gateway, metadata: { ...gateway.metadata, managedFields } });
    }
  return lab;
}

test("unlink says which names would lead nowhere, aliases among them, and not what grants keep away anyway", async () => {
  const lab = await linked("east", "west");
  for (const name of ["east", "west"]) segment(lab, name, "prod", "{service}.{namespace}.api.example");
  for (const name of ["cart", "books", "audit"]) lab.service("west", name);
  lab.endpoints("west", "books", 2);
  lab.endpoints("west", "cart", 3);
  lab.service("east", "cart");
  lab.endpoints("east", "cart", 1);
  grant(lab, "west", "for-east", { cluster: "east", export: { namespaces: ["shop"], services: ["cart", "books"] } });
  const ran = await lab.run(unlinkCommand, "--contexts", "east,west", "--dry-run");
  assert.equal(ran.code, 1);
  holds("unlink-names", ran);
});

test("unlink --peer says by what was generated for a cluster that is gone which names lead nowhere", async () => {
  const lab = await linked("east", "west");
  const entry = (name: string, clusters: string, aliases: string): void => {
    const labels = {
      "app.kubernetes.io/managed-by": "causeway",
      "solo.io/parent-service": name,
      "solo.io/parent-service-namespace": "shop",
    };
    const annotations = { "peering.causeway.dev/clusters": clusters, "solo.io/service-aliases": aliases };
    const metadata = { name: `autogen.shop.${name}`, namespace: SYSTEM, labels, annotations };
    const spec = { hosts: [`${name}.shop.mesh.internal`] };
    lab.servers.get("east")!.put({ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry", metadata, spec });
  };
  entry("books", "west", "books.api.example");
  entry("cart", "north,west", "");
  lab.service("east", "own");
  lab.endpoints("east", "own", 1);
  entry("own", "east,west", "");
  const ran = await lab.run(unlinkCommand, "--context", "east", "--peer", "west", "--dry-run");
  assert.equal(ran.code, 1);
  holds("unlink-gone-peer", ran);
  assert.ok(lab.servers.get("east")!.get(GATEWAYS, NAMESPACE, "istio-remote-peer-west"));
});
