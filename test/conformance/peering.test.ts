// The acceptance tests of contract peering.md 8 that need no Envoy, and where each is shown. Here and in the other files
// that begin with "peering", control planes are processes, wires are TCP proxies and clients speak delta xDS; in
// test/registry/peered-registries.test.ts one process has the registries of all clusters, and follows calls hop by hop.
//
// | T   | processes                                                               | elsewhere                                                          |
// |-----|-------------------------------------------------------------------------|--------------------------------------------------------------------|
// | T01 | here; ztunnel-peering (a real call)                                     | registry/peered-registries                                         |
// | T02 | here                                                                    | registry/peered-registries                                         |
// | T03 | here, as far as endpoints and capacities decide                         | registry/peered-registries                                         |
// | T04 | peering-links; ztunnel-peering                                          | peered-planes, peering/link, peering/snapshots                     |
// | T05 | here                                                                    | peered-planes                                                      |
// | T06 | peering-links                                                           | peered-planes, peering/dial                                        |
// | T07 | peering-links, as far as the link says it; `check` is a command to come | registry/peered-services                                           |
// | T08 | peering-links                                                           | peered-planes, peering/serving-sockets, registry/peered-registries |
// | T09 | peering-names                                                           | registry/peered-registries, registry/peered-names                  |
// | T10 | here                                                                    | registry/peered-registries                                         |
// | T11 | here                                                                    | registry/peered-registries                                         |
// | T12 | peering-names                                                           | registry/export-doors                                              |
// | T13 | peering-links                                                           | registry/peered-registries                                         |
// | T17 | here                                                                    | peering/serving-sockets                                            |
// | T22 | peering-threats                                                         | peering/import, peering/serving, peering/grants                    |
// | T23 | ztunnel-peering                                                         |                                                                    |
// | T24 | here, as far as WDS decides                                             | registry/peered-services                                           |
// | T26 | peering-links, two of the causes                                        | explain/exporter-causes, explain/consumer-causes                   |
import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { VERSION } from "../../src/version.ts";
import { eventually } from "./causeway-process.ts";
import type { MeshClient } from "./mesh-client.ts";
import { app, globalName, GLOBAL, localName, type PeeredSite, PeeringLab, splits } from "./peering-lab.ts";

const WITHIN_MS = 20_000;
const TAKEOVER = { ...GLOBAL, "solo.io/service-takeover": "true" };
const distribution = (wish: string) => ({ annotations: { "networking.istio.io/traffic-distribution": wish } });
const identity = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;

suite("three clusters that share services, each with a control plane that is a process of its own", () => {
  let lab: PeeringLab;
  let [a, b, c]: PeeredSite[] = [];
  let client: MeshClient;

  before(async () => {
    lab = await PeeringLab.open();
    [a, b, c] = await lab.mesh("a", "b", "c");
    client = await a!.client();
  });
  after(async () => lab?.close());

  test("T01: a name that only b has is called from a, which has no object for it and no credentials of b", async () => {
    const host = globalName("cart");
    b!.write("cart", app("cart", { replicas: 2 }));
    await splits(client, host, { b: 1 });
    const { addresses, subjectAltNames } = client.service(host)!;
    assert.deepEqual([...new Set(addresses.map(({ network }) => network))], ["a-net"]);
    assert.deepEqual(subjectAltNames, [identity("cart")]);
    assert.deepEqual(client.counts(host), { b: 2 });
  });

  test("T02: calls stay at home while there is somebody, leave when nobody is, and come back, without a gap", async () => {
    const host = globalName("pay");
    for (const site of [a!, b!]) site.write("pay", app("pay", { replicas: 2 }));
    await splits(client, host, { a: 1 });
    await eventually("a knows of those in b", WITHIN_MS, () => client.counts(host)["b"] === 2);
    client.followGaps(host);
    a!.write("pay", app("pay", { replicas: 0 }));
    await splits(client, host, { b: 1 });
    a!.write("pay", app("pay", { replicas: 2, ready: false }));
    await eventually("a has them, unready", WITHIN_MS, () => client.endpoints(host).length === 3);
    assert.deepEqual(client.calls(host), { b: 1 });
    a!.write("pay", app("pay", { replicas: 2 }));
    await splits(client, host, { a: 1 });
    assert.equal(client.longestGapMs(host), 0);
  });

  test("T03: with Any each cluster has the share of its ready endpoints, after each change of them", async () => {
    const host = globalName("quote");
    const any = distribution("Any");
    a!.write("quote", app("quote", { ...any, replicas: 1 }));
    b!.write("quote", app("quote", { ...any, replicas: 3 }));
    c!.write("quote", app("quote", { ...any, replicas: 4 }));
    await splits(client, host, { a: 0.125, b: 0.375, c: 0.5 });
    c!.write("quote", app("quote", { ...any, replicas: 4, ready: false }));
    await splits(client, host, { a: 0.25, b: 0.75 });
  });

  test("T10: a cluster-local name moves to b under its callers, down to the last of its Service, and back", async () => {
    const host = localName("books");
    for (const site of [a!, b!]) site.write("books", app("books", { labels: TAKEOVER }));
    await splits(client, host, { a: 1 });
    await eventually("a knows of those in b", WITHIN_MS, () => client.counts(host)["b"] === 1);
    client.followGaps(host);
    a!.write("books", app("books", { labels: TAKEOVER, replicas: 0 }));
    await splits(client, host, { b: 1 });
    a!.remove("books");
    const own = () => client.service(host)?.addresses.some(({ ip }) => ip.startsWith("10."));
    await eventually("the address of the Service is gone", WITHIN_MS, () => own() === false);
    assert.deepEqual(client.calls(host), { b: 1 });
    a!.write("books", app("books", { labels: TAKEOVER }));
    await splits(client, host, { a: 1 });
    assert.equal(client.longestGapMs(host), 0);
  });

  test("T10: a waypoint that a name was taken over with has b to send to when nobody is left at home", async () => {
    const host = localName("music");
    const labels = { ...TAKEOVER, "istio.io/use-waypoint": "gate" };
    a!.write("music", waypoint("gate"), app("music", { labels }));
    b!.write("music", app("music", { labels: TAKEOVER }));
    await splits(client, host, { a: 1 });
    a!.write("music", waypoint("gate"), app("music", { labels, replicas: 0 }));
    await splits(client, host, { b: 1 });
    assert.ok(client.service(host)!.waypoint);
  });

  test("T11: each cluster is called for its own ports only, on its own target ports, named ones too", async () => {
    const host = globalName("wire");
    a!.write("wire", app("wire", { ports: "[{name: http, port: 80, targetPort: 8080}]" }));
    const named = "[{name: http, port: 80, targetPort: web}, {name: grpc, port: 90, targetPort: 9000}]";
    b!.write("wire", app("wire", { ports: named, containerPorts: "[{name: web, containerPort: 9090}]" }));
    await splits(client, host, { b: 1 }, 90);
    await splits(client, host, { a: 1 }, 80);
    const far = await b!.client();
    const port = (service: string) => {
      const bound = far.endpoints(globalName(service)).find(({ cluster }) => cluster === "b")!.services;
      return bound.find(({ service: key }) => key.endsWith("mesh.internal"))!.ports.map((each) => each.targetPort);
    };
    assert.deepEqual(port("wire"), [9090, 9000], "where b takes what a sends to 80 and 90");
    a!.write("wire", app("wire", { replicas: 0 }));
    await splits(client, host, { b: 1 }, 80);
  });

  test("T17: proxy-status of b has a as a client with three types, in the columns of guide 002", async () => {
    const { out, code } = await b!.run("proxy-status");
    const [head, ...rows] = out.trimEnd().split("\n");
    const cells = (line: string): readonly string[] => line.split(/ {2,}/);
    assert.deepEqual(cells(head!), ["NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES"]);
    const peers = rows
      .map(cells)
      .filter(([, cluster]) => cluster !== "b")
      .sort(([, one], [, other]) => (one! < other! ? -1 : 1));
    const row = (name: string) => ["istiod.istio-system", name, "istiod", VERSION, "3 (FSDS,SGDS,WDS)"];
    assert.deepEqual([peers, code], [["a", "c"].map(row), 0]);
  });

  test("T24: of a waypoint at the caller, at the destination, at both or at none, exactly one is to enforce", async () => {
    const at = (has: boolean) => (has ? { labels: { ...GLOBAL, "istio.io/use-waypoint": "gate" } } : {});
    const [near, far] = [client, await b!.client()];
    for (const [name, here, there] of [
      ["w-none", false, false],
      ["w-source", true, false],
      ["w-far", false, true],
      ["w-both", true, true],
    ] as const) {
      const host = globalName(name);
      a!.write(name, waypoint("gate"), app(name, { replicas: 0, ...at(here) }));
      b!.write(name, waypoint("gate"), app(name, { ...at(there) }));
      await splits(near, host, { b: 1 });
      const gate = identity("gate");
      const entered = (of: MeshClient): boolean => of.service(host)?.waypoint !== undefined;
      await eventually(
        `${name} is at its waypoints`,
        WITHIN_MS,
        () => entered(near) === here && entered(far) === there,
      );
      const expected = there ? [identity(name), gate] : [identity(name)];
      assert.deepEqual(near.service(host)!.subjectAltNames.toSorted(), expected.toSorted(), name);
    }
  });

  test("T05: once its Gateway is deleted, nothing of c is left within two seconds, on disk neither", async () => {
    c!.write("only", app("only"));
    await splits(client, globalName("only"), { c: 1 });
    a!.unlink(c!);
    const left = () =>
      [...client.workloads.values()].filter(({ cluster, network }) => `${cluster} ${network}`.match(/^c |c-net/));
    const tookMs = await eventually("nothing of c is left", 2_000, async () => {
      if (left().length > 0 || client.service(globalName("only")))
        throw new Error(
          left()
            .map(({ uid }) => uid)
            .join(),
        );
      return (await a!.peer(c!)) === undefined && !a!.remembers(c!);
    });
    console.log(`      gone after ${tookMs} ms`);
    assert.deepEqual(client.calls(globalName("quote")), { a: 0.25, b: 0.75 }, "and others are as they were");
    a!.link(c!);
    await a!.hears(c!);
    await splits(client, globalName("only"), { c: 1 });
  });
});

const waypoint = (name: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}`;
