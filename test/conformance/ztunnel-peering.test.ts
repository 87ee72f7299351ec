import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { eventually } from "./causeway-process.ts";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { BOTH, type Dump, PeeredZtunnels, type ZtunnelSite } from "./peered-ztunnels.ts";
import { until } from "./ztunnel-lab.ts";

/** A control plane saves what a peer says at most every 30 s, and looks every 5 s whether there is anything to save. */
const SAVED_MS = 45_000;

const DRAIN_MS = 20_000;
/** By chance two that share calls alike answer with one voice once in 2^11. */
const CALLS = 12;

const hostOf = (app: string): string => `${app}.shop.mesh.internal`;
const identity = (app: string): string => `spiffe://cluster.local/ns/shop/sa/${app}`;
const serviceIn = ({ services }: Dump, host: string) => services.find(({ hostname }) => hostname === host);

suite("unmodified ztunnels of two peered clusters", () => {
  let lab: PeeredZtunnels;
  let a: ZtunnelSite;
  let b: ZtunnelSite;
  let vip: string;

  before(async function () {
    const binary = ztunnelBinary(process.env);
    skipWithout(this, "ztunnel-peering", binary, networkNamespaces());
    lab = await PeeredZtunnels.open(binary as string);
    ({ a, b } = lab);
    await lab.start();
  });
  after(async () => lab?.close());

  /** What the ztunnel at one site holds of the service that the other shares. */
  function holds(site: ZtunnelSite, other: ZtunnelSite, app: string, capacity: number): void {
    const dump = site.dump();
    const service = serviceIn(dump, hostOf(app));
    assert.ok(service, `${hostOf(app)} is missing at ${site.name}`);
    assert.ok(service.vips.length > 0 && service.vips.every((address) => address.startsWith(`${site.network}/`)));
    assert.deepEqual(service.subjectAltNames, [identity(app)]);
    const aggregates = dump.workloads.filter(({ uid }) => uid in service.endpoints);
    assert.deepEqual(
      aggregates.map((one) => [one.clusterId, one.network, one.status, one.capacity, one.workloadIps]),
      [[other.name, other.network, "Healthy", capacity, []]],
    );
    const way = `${other.network}/${other.doorAddress}`;
    assert.deepEqual(aggregates[0]!.networkGateway, { destination: way, hboneMtlsPort: 15_008 });
    const gateways = dump.workloads.filter(({ workloadIps }) => workloadIps.includes(other.doorAddress));
    assert.deepEqual(
      gateways.map(({ network, serviceAccount }) => [network, serviceAccount]),
      [[other.network, "istio-eastwest"]],
    );
    assert.deepEqual(dump.stagedServices, {});
  }

  /** Once it is so, or with why it is not. */
  async function come(what: string, check: () => void): Promise<void> {
    await until(what, () => {
      check();
      return true;
    });
  }

  test("T01: each side's ztunnel holds what the other shares: address at home, way there, identities, nothing staged", async () => {
    await come("a holds cart", () => holds(a, b, "cart", 1));
    await come("b holds web", () => holds(b, a, "web", 1));
    const far = serviceIn(b.dump(), hostOf("cart"))!;
    assert.equal(Object.keys(far.endpoints).length, 1, "b knows its own by the name that a calls it by");
    const [address] = serviceIn(a.dump(), hostOf("cart"))!.vips;
    vip = address!.split("/")[1]!;
    console.log(`      ${hostOf("cart")} is ${address} in a, and ${far.vips[0]} in b`);
  });

  test("T01, A05: a call crosses to b through two tunnels, and b's ztunnel sees who called, not the gateway", async () => {
    await until("web reaches cart", () => a.call(vip) === "hello from cart");
    const outer = `CONNECT ${hostOf("cart")}:80 from URI:${identity("web")} to`;
    await until("the gateway of b has seen the outer tunnel", () => lab.programs.printed(b.door!).includes(outer));
    const seen = () =>
      lab.programs
        .printed(b.ztunnel!)
        .split("\n")
        .find((line) => /connection complete/.test(line) && /inbound/.test(line));
    await until("b's ztunnel logs the call", () => seen() !== undefined);
    console.log(`      ${seen()!.trim()}`);
    assert.match(seen()!, new RegExp(`src\\.identity="${identity("web")}"`));
    assert.match(seen()!, new RegExp(`src\\.addr=${b.doorAddress}`));
    assert.doesNotMatch(seen()!, /istio-eastwest/);
    const [back] = serviceIn(b.dump(), hostOf("web"))!.vips;
    await until("cart reaches web", () => b.call(back!.split("/")[1]!) === "hello from web");
  });

  test("T23: a policy in b that denies web by its principal cuts the call, and is counted there", async () => {
    b.write("deny", denyWeb);
    await until("cart refuses web", () => a.call(vip) === "");
    const denied = () =>
      lab.programs
        .printed(b.ztunnel!)
        .split("\n")
        .find((line) => /policy rejection/.test(line));
    await until("b's ztunnel says why", () => denied() !== undefined);
    console.log(`      ${denied()!.trim()}`);
    assert.match(denied()!, /shop\/no-web/);
    b.remove("deny");
    await until("cart lets web in", () => a.call(vip) === "hello from cart");
  });

  test("T02: a change in b reaches a's ztunnel: no endpoint left, and one again", async () => {
    b.write("service", shared("cart", "nobody"));
    await come("a's ztunnel knows that nobody is there", () => {
      const dump = a.dump();
      const { endpoints } = serviceIn(dump, hostOf("cart"))!;
      const [aggregate] = dump.workloads.filter(({ uid }) => uid in endpoints);
      assert.equal(aggregate?.status ?? "Unhealthy", "Unhealthy");
    });
    assert.equal(a.call(vip), "");
    b.write("service", shared("cart", "cart"));
    await come("a's ztunnel knows that somebody is", () => holds(a, b, "cart", 1));
    await until("web reaches cart", () => a.call(vip) === "hello from cart");
  });

  test("T04: without b's control plane, and with a's restarted meanwhile, calls go on; after it, both are as before", async () => {
    await eventually("a has saved what b says now", SAVED_MS, () =>
      a.saved(b).some(({ name, ready }) => name === "cart" && ready === 1),
    );
    await b.stopPlane("SIGKILL");
    await until("the link is lost", () => a.peer(b)?.state === "stale");
    assert.equal(a.call(vip), "hello from cart");
    await a.stopPlane("SIGKILL");
    assert.equal(a.call(vip), "hello from cart");
    await a.startPlane();
    await until("a serves what b said before", () => a.peer(b)?.state === "stale");
    const streams = () => lab.programs.printed(a.ztunnel!).match(/Stream established/g)?.length ?? 0;
    await until("a's ztunnel is back", () => streams() >= 2);
    holds(a, b, "cart", 1);
    assert.equal(a.call(vip), "hello from cart");
    await b.startPlane();
    for (const [site, other] of [
      [a, b],
      [b, a],
    ] as const)
      await until(`${site.name} hears ${other.name}`, () => site.peer(other)?.state === "live");
    holds(a, b, "cart", 1);
    holds(b, a, "web", 1);
    assert.equal(a.call(vip), "hello from cart");
  });

  test("T04: a link that is lost with its gateway fails calls, and both are back when it is", async () => {
    await b.stopDoor();
    await until("the link is lost", () => a.peer(b)?.state === "stale");
    assert.equal(a.call(vip), "");
    assert.ok(serviceIn(a.dump(), hostOf("cart")), "the name stays");
    await b.startDoor();
    await until("the link is back", () => a.peer(b)?.state === "live");
    await until("web reaches cart", () => a.call(vip) === "hello from cart");
    holds(a, b, "cart", 1);
  });

  test("a drill: calls leave the share that is drained, none fails on the way, and they come back when its time is over", async () => {
    a.write(BOTH, shared(BOTH, "web"));
    b.write(BOTH, shared(BOTH, "cart"));
    const address = () => serviceIn(a.dump(), hostOf(BOTH))!.vips[0]!.split("/")[1]!;
    await until("a's ztunnel has the service of both", () => address() !== "");
    const answers = new Set<string>();
    /** Calls once, and tells whether the last calls were answered by just these. */
    const last: string[] = [];
    const answeredBy = (...expected: readonly string[]): boolean => {
      last.push(a.call(address()));
      answers.add(last.at(-1)!);
      return last.length >= CALLS && `${[...new Set(last.slice(-CALLS))].sort()}` === `${[...expected].sort()}`;
    };
    const [WEB, CART] = ["hello from web", "hello from cart"];
    await until("both answer", () => answeredBy(WEB!, CART!));
    answers.clear();
    for (const [site, app, other] of [
      [b, "cart", WEB],
      [a, "web", CART],
    ] as const) {
      const end = new Date(Date.now() + DRAIN_MS);
      site.write(BOTH, shared(BOTH, app, end));
      await until(`${site.name}'s share is left`, () => answeredBy(other!));
      assert.ok(Date.now() < end.getTime(), "before its end");
      await until(`${site.name}'s share is back`, () => answeredBy(WEB!, CART!));
      assert.ok(Date.now() >= end.getTime(), "not before its end");
    }
    assert.deepEqual([...answers].sort(), [CART, WEB], "no call failed");
  });

  test("no ztunnel has rejected anything", () => {
    for (const { ztunnel } of [a, b]) {
      assert.match(lab.programs.printed(ztunnel!), /Stream established/);
      assert.doesNotMatch(lab.programs.printed(ztunnel!), /Nack|certificate fetch failed|unknown network gateway/);
    }
  });
});

const denyWeb = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
`;

/** Drained until then, if a time is given. */
const shared = (name: string, app: string, until?: Date): string => `apiVersion: v1
kind: Service
metadata:
  name: ${name}
  namespace: shop
  labels: {solo.io/service-scope: global}
  annotations:
    networking.istio.io/traffic-distribution: Any
    ${until === undefined ? "" : `peering.causeway.dev/drain-until: "${until.toISOString()}"`}
spec: {selector: {app: ${app}}, ports: [{name: http, port: 80, targetPort: 8080}]}
`;
