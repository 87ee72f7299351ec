import assert from "node:assert/strict";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { envoyBinary } from "./envoy-binary.ts";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { PeeredZtunnels, type ZtunnelSite } from "./peered-ztunnels.ts";
import { until } from "./ztunnel-lab.ts";

const identity = (app: string): string => `spiffe://cluster.local/ns/shop/sa/${app}`;

suite("unmodified ztunnels and stock Envoys of two peered clusters", () => {
  let lab: PeeredZtunnels;
  let a: ZtunnelSite;
  let b: ZtunnelSite;
  let vip: string;

  before(async function () {
    const [ztunnel, envoy] = [ztunnelBinary(process.env), await envoyBinary()];
    skipWithout(this, "ztunnel-gateways", ztunnel, envoy, networkNamespaces());
    lab = await PeeredZtunnels.open(ztunnel as string, envoy as string);
    ({ a, b } = lab);
    await lab.start();
    const cart = () => a.dump().services.find(({ hostname }) => hostname === "cart.shop.mesh.internal");
    await until("a's ztunnel knows cart", () => (cart()?.vips.length ?? 0) > 0);
    vip = cart()!.vips[0]!.split("/")[1]!;
  });
  after(async () => lab?.close());

  /** The last line of a program's output that has all of these words. */
  const line = (printed: string, ...words: readonly string[]): string | undefined =>
    printed
      .split("\n")
      .filter((one) => words.every((word) => one.includes(word)))
      .at(-1);

  test("A05: a call crosses by double HBONE, and b's ztunnel sees who called, not the gateway", async () => {
    await until("web reaches cart", () => a.call(vip) === "hello from cart");
    const outer = () => line(lab.programs.printed(b.door!), "cart.shop.mesh.internal:80", identity("web"));
    await until("the gateway logs the outer tunnel", () => outer() !== undefined);
    const inner = () =>
      line(lab.programs.printed(b.ztunnel!), "connection complete", "inbound", `src.identity="${identity("web")}"`);
    await until("b's ztunnel logs the inner one", () => inner() !== undefined);
    console.log(`      ${outer()}\n      ${inner()}`);
    assert.match(inner()!, new RegExp(`src\\.addr=${b.doorAddress}`));
  });

  test("T23: an L4 policy of b that denies web cuts the call at b's ztunnel", async () => {
    b.write("deny", DENY_WEB);
    await until("cart refuses web", () => a.call(vip) === "");
    b.remove("deny");
    await until("cart lets web in", () => a.call(vip) === "hello from cart");
  });

  test("A07: with a waypoint in a, its Envoy enforces L7 and calls on through both tunnels itself", async () => {
    await a.startWaypoint();
    const passed = () => line(lab.programs.printed(a.waypoint!), identity("web"), '"GET"');
    await until(
      "the call goes through the waypoint",
      () => a.call(vip) === "hello from cart" && passed() !== undefined,
    );
    const inner = () =>
      line(lab.programs.printed(b.ztunnel!), "connection complete", `src.identity="${identity("waypoint")}"`);
    await until("b's ztunnel sees the waypoint", () => inner() !== undefined);
    a.write("policy", ONLY_POST);
    await until("the waypoint refuses GET", () => /RBAC/.test(a.call(vip)));
    a.remove("policy");
    await until("GET passes again", () => a.call(vip) === "hello from cart");
  });

  test("no ztunnel has rejected anything", () => {
    for (const { ztunnel } of [a, b])
      assert.doesNotMatch(lab.programs.printed(ztunnel!), /Nack|certificate fetch failed|unknown network gateway/);
  });
});

const DENY_WEB = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
`;

const ONLY_POST = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-post, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]
  action: ALLOW
  rules: [{to: [{operation: {methods: ["POST"]}}]}]
`;
