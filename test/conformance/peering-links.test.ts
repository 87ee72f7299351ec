import assert from "node:assert/strict";
import { teardown as afterEach, setup as beforeEach, suite, test } from "mocha";
import { TestAuthority } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { app, globalName, type PeeredSite, PeeringLab, splits } from "./peering-lab.ts";

const WITHIN_MS = 20_000;
const FLAT = { network: "flat" };
/** Of fault 11: a peer that falls silent. */
const SILENT_MS = 30_000;

suite("links between control planes that are processes, over wires that fail", () => {
  let lab: PeeringLab;
  beforeEach(async () => {
    lab = await PeeringLab.open();
  });
  afterEach(async () => lab.close());

  /** Two that are not linked yet. */
  async function two(): Promise<readonly [PeeredSite, PeeredSite]> {
    const [a, b] = await Promise.all([lab.site("a"), lab.site("b")]);
    return [a, b];
  }

  test("T08: a link in one direction: a calls what b shares, and b has never heard of a", async () => {
    const [a, b] = await two();
    a.write("pay", app("pay"));
    b.write("cart", app("cart"));
    a.link(b);
    await Promise.all([a.start(), b.start()]);
    await a.hears(b);
    const [near, far] = await Promise.all([a.client(), b.client()]);
    await splits(near, globalName("cart"), { b: 1 });
    assert.deepEqual(await b.peers(), []);
    assert.deepEqual([far.service(globalName("pay")), far.calls(globalName("cart"))], [undefined, { b: 1 }]);
    assert.deepEqual([...new Set([...far.workloads.values()].map(({ cluster }) => cluster))], ["b"]);
    b.write("cart", app("cart", { replicas: 3 }));
    await eventually("a hears of each change", WITHIN_MS, () => near.counts(globalName("cart"))["b"] === 3);
  });

  test("T04: b's control plane is killed, and a's restarts meanwhile: calls to b's pods go on, and b is stale", async () => {
    const [a, b] = await lab.mesh("a", "b");
    const host = globalName("cart");
    b!.write("cart", app("cart", { replicas: 2 }));
    const client = await a!.client();
    await splits(client, host, { b: 1 });
    client.followGaps(host);
    await b!.plane.stop("SIGKILL");
    await a!.hears(b!, "stale");
    const open = async () => (await a!.peer(b!))!.dataPlane === "open";
    await eventually("its gateway is known to answer", WITHIN_MS, open);
    assert.deepEqual(client.counts(host), { b: 2 });
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await a!.plane.stop(signal);
      await a!.start();
      assert.equal((await a!.peer(b!))!.state, "stale", "what b said last is there before anybody is served");
      const another = await a!.client();
      assert.deepEqual(another.counts(host), { b: 2 }, `after ${signal}`);
      await another.close();
    }
    const { out, code } = await a!.run("remote-clusters");
    assert.match(out, /^b +Gateway istio-eastwest\/istio-remote-peer-b +stale +istiod/m);
    assert.equal(code, 1);
    b!.write("cart", app("cart", { replicas: 3 }));
    await b!.start();
    await a!.hears(b!);
    await eventually("the client has what is new", WITHIN_MS, () => client.counts(host)["b"] === 3);
    assert.deepEqual([client.longestGapMs(host), client.removed], [0, []]);
  });

  test("T04: a partition is healed by itself, and slow wires and cut ones lose nothing that was changed meanwhile", async () => {
    const [a, b] = await lab.mesh("a", "b");
    const [near, far] = await Promise.all([a!.client(), b!.client()]);
    for (const site of [a!, b!]) site.write("cart", app("cart"));
    await splits(near, globalName("cart"), { a: 1 });
    b!.wire.lagMs = 300;
    b!.write("cart", app("cart", { replicas: 2 }));
    await eventually("a slow wire carries it", WITHIN_MS, () => near.counts(globalName("cart"))["b"] === 2);
    for (const { wire } of [a!, b!]) wire.cut();
    await Promise.all([a!.hears(b!, "stale"), b!.hears(a!, "stale")]);
    b!.write("cart", app("cart", { replicas: 5 }));
    b!.write("new", app("new"));
    a!.remove("cart");
    await eventually("those in b know of their own", WITHIN_MS, () => far.counts(globalName("cart"))["b"] === 5);
    await splits(near, globalName("cart"), { b: 1 });
    assert.deepEqual([near.counts(globalName("cart")), near.service(globalName("new"))], [{ b: 2 }, undefined]);
    for (const { wire } of [a!, b!]) wire.heal();
    await Promise.all([a!.hears(b!), b!.hears(a!)]);
    await splits(near, globalName("new"), { b: 1 });
    const counted = [near, far].map((client) => () => JSON.stringify(client.counts(globalName("cart"))) === '{"b":5}');
    for (const isSo of counted) await eventually("both know what there is now", WITHIN_MS, isSo);
  });

  test("T04: a wire that swallows everything is found out, and a gateway that is shut, too, sends calls elsewhere", async () => {
    const [a, b, c] = await lab.mesh("a", "b", "c");
    const host = globalName("cart");
    for (const site of [b!, c!]) site.write("cart", app("cart"));
    const client = await a!.client();
    await splits(client, host, { b: 0.5, c: 0.5 });
    b!.wire.swallow();
    const tookMs = await a!.hears(b!, "stale", SILENT_MS + 5_000);
    console.log(`      found out after ${tookMs} ms`);
    assert.deepEqual(client.calls(host), { b: 0.5, c: 0.5 });
    await b!.closeDoor();
    await splits(client, host, { c: 1 });
    assert.equal((await a!.peer(b!))!.dataPlane, "closed");
    b!.wire.heal();
  }).timeout(120_000);

  test("T06: two trust domains under one root read each other, with every check on", async () => {
    const [a, b] = await Promise.all([
      lab.site("a", { trustDomain: "a.example" }),
      lab.site("b", { trustDomain: "b.example" }),
    ]);
    a.link(b);
    b.link(a);
    for (const site of [a, b]) site.write("cart", app("cart", { replicas: 1 }));
    await Promise.all([a.start(), b.start()]);
    await Promise.all([a.hears(b), b.hears(a)]);
    const clients = await Promise.all([a.client(), b.client()]);
    for (const [at, client] of clients.entries()) {
      const other = ["b", "a"][at]!;
      const host = globalName("cart");
      await eventually(`${other} counts`, WITHIN_MS, () => client.counts(host)[other] === 1);
      const { subjectAltNames } = client.service(host)!;
      assert.deepEqual(subjectAltNames, [`spiffe://${other}.example/ns/shop/sa/cart`]);
    }
    b.link(a, { trustDomain: "c.example" });
    await eventually("b says that a is of another trust domain", WITHIN_MS, async () => {
      const { reason, message } = (await b.peer(a))!;
      if (reason !== "TrustDomainUnknown") throw new Error(`${reason}: ${message}`);
      return /spiffe:\/\/a\.example\/ns\/istio-system\/sa\/istiod.* or our own, is c\.example$/.test(message);
    });
  });

  test("T06: under two roots both ends say TLSUnknownAuthority, and explain says what mends it", async () => {
    const issuer = await TestAuthority.create("CN=another root");
    const [a, b] = await Promise.all([lab.site("a"), lab.site("b", { issuer })]);
    a.link(b);
    b.link(a);
    b.write("cart", app("cart"));
    await Promise.all([a.start(), b.start()]);
    for (const [site, other] of [
      [a, b],
      [b, a],
    ] as const) {
      await eventually(`${site.name} names the cause`, WITHIN_MS, async () => {
        const { reason, message } = (await site.peer(other))!;
        if (reason !== "TLSUnknownAuthority") throw new Error(`${reason}: ${message}`);
        return true;
      });
      const { message } = (await site.peer(other))!;
      assert.match(message, /^127\.0\.0\.1 port \d+: unknown certificate authority/);
      console.log(`      ${site.name}: ${message}`);
      assert.match(site.plane.log, /reason=TLSUnknownAuthority/);
    }
    assert.equal((await a.client()).service(globalName("cart")), undefined);
    const { out, code } = await a.run("explain", globalName("cart"));
    assert.equal(code, 1);
    assert.match(out, /fix +give both clusters authorities under one root/);
  });

  test("T07: a network label that is wrong is named with its Gateway, by explain, too, and nothing is called that would end nowhere", async () => {
    const [a, b] = await two();
    b.write("cart", app("cart"));
    a.link(b, { network: "b-nett" });
    await Promise.all([a.start(), b.start()]);
    const client = await a.client();
    await eventually("the peer's word is refused", WITHIN_MS, async () => (await a.peer(b))!.denied > 0);
    const { denials } = (await a.peer(b))!;
    assert.match(
      denials[0]!.message,
      /says network b-net, and Gateway istio-eastwest\/istio-remote-peer-b b-nett; correct the label/,
    );
    assert.deepEqual(client.calls(globalName("cart")), {});
    const { out, code } = await a.run("explain", globalName("cart"));
    assert.equal(code, 1);
    assert.match(
      out,
      /fix +give Gateway istio-eastwest\/istio-remote-peer-b in \S+\/peer-b\.yaml:\d+ the label topology.istio.io\/network: b-net/,
    );
    a.link(b);
    await splits(client, globalName("cart"), { b: 1 });
  });

  test("T13: on a flat network, pods that went while b was away are gone when it is back, and none before", async () => {
    const range = (at: number) => ["--pod-cidr", `10.${at}.0.0/16`];
    const sites = await Promise.all(
      ["a", "b", "c"].map((name, at) => lab.site(name, { ...FLAT, flags: range(100 + at) })),
    );
    for (const site of sites) for (const other of sites) if (other !== site) site.link(other);
    for (const site of sites) site.write("cart", app("cart", { replicas: 2 }));
    await Promise.all(sites.map((site) => site.start()));
    const [a, b, c] = sites as [PeeredSite, PeeredSite, PeeredSite];
    for (const other of [b, c]) await a.hears(other);
    const client = await a.client();
    const host = globalName("cart");
    const ips = (cluster: string) =>
      client
        .endpoints(host)
        .filter((workload) => workload.cluster === cluster)
        .flatMap(({ addresses }) => addresses);
    const counts = (wanted: Readonly<Record<string, number>>) =>
      eventually(`the client has ${JSON.stringify(wanted)}`, WITHIN_MS, () => {
        const found = Object.fromEntries(Object.keys(wanted).map((cluster) => [cluster, ips(cluster).length]));
        return JSON.stringify(found) === JSON.stringify(wanted);
      });
    await counts({ a: 2, b: 2, c: 2 });
    assert.ok(client.endpoints(host).every(({ networkGateway }) => networkGateway === undefined));
    const before = ips("b");
    await b.plane.stop("SIGKILL");
    await a.hears(b, "stale");
    b.write("cart", app("cart", { replicas: 1 }));
    b.write("more", app("more", { replicas: 3 }));
    assert.deepEqual(ips("b"), before);
    await b.start();
    const tookMs = await a.hears(b);
    await counts({ a: 2, b: 1, c: 2 });
    assert.deepEqual(Object.keys(client.calls(globalName("more"))), ["b"]);
    console.log(`      b is live again after ${tookMs} ms, and nothing that went is left`);
    const stale = [...client.workloads.values()].filter(
      ({ addresses, cluster }) => cluster === "b" && before.includes(addresses[0]!),
    );
    assert.equal(stale.length, 1, "of two pods one went");
  });
});
